/** Configurations of small kernels. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commonOptions, configurationText } from '#kpatch/platform/common/small-kernel.ts';
import { platforms } from '#kpatch/platform/registry.ts';

test('a machine takes an option back that all have', () => {
  assert.equal(
    configurationText(['NET', 'FUSE_FS=m', 'NET=n', 'FUSE_FS']),
    '# CONFIG_NET is not set\nCONFIG_FUSE_FS=y\n',
  );
});

test('every small kernel has what live patches and the two trials need', () => {
  const needed = [
    'LIVEPATCH',
    'MODULES',
    'KALLSYMS_ALL',
    'STACKTRACE',
    'DYNAMIC_FTRACE',
    'BLK_DEV_INITRD',
    'DEVTMPFS',
    'PROC_FS',
  ];
  for (const { name, smallKernel } of platforms()) {
    if (smallKernel === undefined) continue;
    const lines = configurationText([...commonOptions, ...smallKernel.options]).split('\n');
    for (const option of needed) assert.ok(lines.includes(`CONFIG_${option}=y`), `${name}: ${option}`);
    assert.ok(lines.includes('CONFIG_BINFMT_MISC=m'), name);
  }
});
