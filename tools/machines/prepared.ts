/** Kernels that were prepared on this machine, by release or key. */
import type { Reporter } from '#kpatch/base/report.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { cachedReleases } from '#kpatch/prepare/cache.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { describedKernel } from '#kpatch/prepare/manifest.ts';

/** The prepared kernel of that release or key (`RELEASE~DIGEST`), else the release is prepared now. Errors: as `prepareKernel`. */
export async function preparedHere(name: string, report: Reporter): Promise<TargetKernel> {
  const key = cachedReleases().find((one) => one === name || one.startsWith(`${name}~`));
  return (key === undefined ? undefined : describedKernel(key)) ?? (await prepareKernel(name, { report }));
}
