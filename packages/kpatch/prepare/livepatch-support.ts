/** Whether a kernel can be live patched at all. */
import { failure } from '../base/errors/error.ts';
import { type KernelConfig, readConfig } from '../kernel/config.ts';
import type { TargetKernel } from '../kernel/target.ts';
import { platformOfConfig } from '../platform/registry.ts';

/**
 * Ends with `kernel-no-livepatch` where no live patch can ever be loaded into this kernel, and with `kernel-no-reliable-stacks` where it
 * could be loaded but its transition would never complete.
 */
export function requireLivepatch(kernel: TargetKernel): void {
  const { release, paths } = kernel;
  const config = readConfig(paths.config);
  if (!kernel.livepatch) {
    const { option, reason } = missingSupport(config);
    throw failure('kernel-no-livepatch', { release, option, reason });
  }
  // klp_have_reliable_stack() of include/linux/livepatch.h; before Linux 4.12 there was no such option.
  for (const option of ['STACKTRACE', 'HAVE_RELIABLE_STACKTRACE']) {
    if (!config.has(option)) throw failure('kernel-no-reliable-stacks', { release, option: `CONFIG_${option}` });
  }
}

/** The first option that LIVEPATCH depends on and that is not set (kernel/livepatch/Kconfig), with what that means for the vendor. */
function missingSupport(config: KernelConfig): { option: string; reason: string } {
  const machine = platformOfConfig((option) => config.has(option))?.naming.uname ?? 'this machine';
  if (!config.has('HAVE_LIVEPATCH')) {
    return { option: 'CONFIG_HAVE_LIVEPATCH', reason: `this version of Linux does not support it on ${machine}` };
  }
  const needed = ['MODULES', 'SYSFS', 'KALLSYMS_ALL', 'DYNAMIC_FTRACE'];
  const missing = [...needed.filter((option) => !config.has(option)), 'LIVEPATCH'].map((option) => `CONFIG_${option}`);
  return { option: 'CONFIG_LIVEPATCH', reason: `its vendor must enable ${missing.join(', ')}` };
}
