/** Units as the vendor compiled them, without the flags that the differ needs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differFlags, withoutDifferFlags } from '#kpatch/kbuild/kbuild.ts';
import { parseConfig } from '#kpatch/kernel/config.ts';
import { platforms } from '#kpatch/platform/registry.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';

test('the flags are taken out of every variable, and nothing else', () => {
  for (const options of ['CONFIG_X86_64=y', 'CONFIG_PPC64=y\nCONFIG_CPU_LITTLE_ENDIAN=y']) {
    const flags = differFlags(parseConfig(options));
    const variables = { KCFLAGS: flags, KBUILD_CFLAGS: `-O2 ${flags} -Wall`, CC: 'gcc-12' };
    const { KCFLAGS, KBUILD_CFLAGS, CC } = withoutDifferFlags(variables);
    assert.equal(KCFLAGS, '');
    assert.equal(KBUILD_CFLAGS?.replace(/ +/g, ' '), '-O2 -Wall');
    assert.equal(CC, 'gcc-12');
  }
});

test('on ppc64le, code that moves into a module reaches data from the TOC of the module', () => {
  assert.match(differFlags(parseConfig('CONFIG_PPC64=y\nCONFIG_CPU_LITTLE_ENDIAN=y')), /-mcmodel=large/);
  assert.doesNotMatch(differFlags(parseConfig('CONFIG_X86_64=y')), /-mcmodel/);
});

test('only machines whose compiler has section anchors need them', () => {
  for (const machine of platforms()) {
    assert.equal(
      machine.runPre?.sectionAnchors,
      machine === x86_64 || !machine.runPre ? undefined : true,
      machine.name,
    );
  }
});
