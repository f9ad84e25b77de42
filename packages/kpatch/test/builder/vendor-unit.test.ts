/** Units as the vendor compiled them, without the flags that the differ needs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sectionFlags, withoutSectionFlags } from '#kpatch/kbuild/kbuild.ts';
import { aarch64 } from '#kpatch/platform/arm64/machine.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';

test('the flags are taken out of every variable, and nothing else', () => {
  const variables = { KCFLAGS: sectionFlags, KBUILD_CFLAGS: `-O2 ${sectionFlags} -Wall`, CC: 'gcc-12' };
  const { KCFLAGS, KBUILD_CFLAGS, CC } = withoutSectionFlags(variables);
  assert.equal(KCFLAGS, '');
  assert.equal(KBUILD_CFLAGS?.replace(/ +/g, ' '), '-O2 -Wall');
  assert.equal(CC, 'gcc-12');
});

test('only machines whose compiler has section anchors need them', () => {
  assert.equal(aarch64.runPre?.sectionAnchors, true);
  assert.equal(x86_64.runPre?.sectionAnchors, undefined);
});
