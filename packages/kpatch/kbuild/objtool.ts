/** How objtool has to run for kernels that let kbuild run it late. */
import type { KernelConfig } from '../kernel/config.ts';
import { platformOfConfig } from '../platform/registry.ts';

/**
 * True if kbuild runs objtool on vmlinux and on linked modules instead of on each object: kernels with LTO, or by the
 * machine.
 */
export function runsObjtoolLate(config: KernelConfig): boolean {
  const platform = platformOfConfig((option) => config.has(option));
  return ['LTO_CLANG', ...(platform?.naming.lateObjtool ?? [])].some((option) => config.has(option));
}

/**
 * Settings for make by which such a kernel's objects pass objtool one by one, with all that it does at link time
 * (scripts/Makefile.lib: `objtool-args`). Code of a live patch is module code, hence `--module`.
 */
export function objtoolSettings(config: KernelConfig): string[] {
  return runsObjtoolLate(config) ? ['delay-objtool=', 'objtool-args=$(objtool-args-y) --link --module'] : [];
}
