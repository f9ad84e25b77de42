/** The package of a program, for messages that say what to install. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packageOf } from '#kpatch/base/process/tools.ts';

test('a program of a cross compiler is in a package with the name of its machine', () => {
  assert.equal(packageOf('aarch64-linux-gnu-gcc-12'), 'gcc-12-aarch64-linux-gnu');
  assert.equal(packageOf('powerpc64le-linux-gnu-gcc'), 'gcc-powerpc64le-linux-gnu');
  assert.equal(packageOf('s390x-linux-gnu-ld'), 'binutils-s390x-linux-gnu');
  assert.equal(packageOf('/usr/bin/x86_64-linux-gnu-objdump'), 'binutils-x86-64-linux-gnu');
  assert.equal(packageOf('gcc'), 'gcc');
  assert.equal(packageOf('readelf'), 'binutils');
  assert.equal(packageOf('something'), 'something');
});
