/** Kernels that cannot be live patched are refused with the option that their vendor must enable. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { requireLivepatch } from '#kpatch/prepare/livepatch-support.ts';
import { provokes } from '../provoke.ts';

const folder = temporaryFolder('kpatch-support-');
after(() => folder.dispose());

/** A kernel with these options. */
function kernelWith(...options: string[]): TargetKernel {
  const config = join(folder.path, 'config');
  writeFileSync(config, options.map((option) => `CONFIG_${option}=y\n`).join(''));
  const livepatch = options.includes('LIVEPATCH');
  return { release: '7.2.0-test', livepatch, paths: { config } } as unknown as TargetKernel;
}

const support = ['ARM64', 'MODULES', 'SYSFS', 'HAVE_LIVEPATCH'];

test('a kernel whose Linux does not support live patches on its machine', async () => {
  const error = await provokes('kernel-no-livepatch', () => requireLivepatch(kernelWith('ARM64', 'MODULES')));
  assert.match(`${error.message} ${error.why}`, /CONFIG_HAVE_LIVEPATCH.*does not support it on aarch64/);
});

test('a kernel whose vendor did not enable them, with all that is missing', async () => {
  const error = await provokes('kernel-no-livepatch', () => requireLivepatch(kernelWith(...support, 'DYNAMIC_FTRACE')));
  assert.match(error.why ?? '', /its vendor must enable CONFIG_KALLSYMS_ALL, CONFIG_LIVEPATCH$/);
});

test('a kernel without reliable stack traces', async () => {
  const some = kernelWith(...support, 'LIVEPATCH', 'STACKTRACE');
  const error = await provokes('kernel-no-reliable-stacks', () => requireLivepatch(some));
  assert.match(error.message, /CONFIG_HAVE_RELIABLE_STACKTRACE/);
  requireLivepatch(kernelWith(...support, 'LIVEPATCH', 'STACKTRACE', 'HAVE_RELIABLE_STACKTRACE'));
});
