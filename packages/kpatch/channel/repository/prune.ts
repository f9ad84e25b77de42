/** Removes what no machine needs any more: old packages of each kernel, kernels long past their window, old publications. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ChannelConfig, layout } from './config.ts';
import { newestPatch, readKernels, untilOf, writeKernel } from './kernel.ts';
import { newestGeneration, packageFiles, removeOld, servedNumber } from './publish.ts';
import { modulePoolNames } from './tuf/modules.ts';
import { dayOf, daysBetween } from './window.ts';

export interface PruneOptions {
  /** Patches that are kept of each kernel, the newest first. */
  readonly patches: number;
  /** Days after the end of its window that a kernel stays listed. */
  readonly days: number;
  readonly now: Date;
  readonly dryRun: boolean;
}

export interface Pruned {
  readonly patches: readonly string[];
  readonly kernels: readonly string[];
  readonly files: readonly string[];
}

/** Prunes; what the publication that is served still lists stays in its tree until the next one. */
export function prune(folder: string, config: ChannelConfig, options: PruneOptions): Pruned {
  const patches: string[] = [];
  const gone: string[] = [];
  const paths = layout(folder);
  const today = dayOf(options.now);
  const kept = readKernels(folder).flatMap((kernel) => {
    if (daysBetween(untilOf(kernel, config), today) > options.days) {
      gone.push(kernel.release);
      if (!options.dryRun) rmSync(join(paths.kernels, `${kernel.release}.json`));
      return [];
    }
    const real = kernel.patches.filter((patch) => patch.record.module !== null);
    const old = new Set(real.slice(0, Math.max(0, real.length - options.patches)));
    // Once there is a patch, the empty package has done its work.
    const rest = kernel.patches.filter(
      (patch) => !old.has(patch) && (patch.record.module !== null || newestPatch(kernel) === undefined),
    );
    for (const patch of kernel.patches.filter((other) => !rest.includes(other))) {
      patches.push(`${kernel.release} ${patch.record.version}-${patch.record.release}`);
    }
    const next = { ...kernel, patches: rest };
    if (!options.dryRun && rest.length < kernel.patches.length) writeKernel(folder, next);
    return [next];
  });
  const client = newestGeneration(folder)?.client;
  const wanted = new Set(
    [...packageFiles(kept), ...(client === undefined ? [] : [client.deb, client.rpm])].map(({ file }) => file),
  );
  const files: string[] = [];
  const modules = kept.flatMap((kernel) => kernel.patches.flatMap(modulePoolNames));
  for (const name of modules) wanted.add(name);
  for (const pool of [paths.pool.deb, paths.pool.rpm, paths.modules]) {
    for (const name of existsSync(pool) ? readdirSync(pool).filter((file) => !wanted.has(file)) : []) {
      files.push(name);
      if (!options.dryRun) rmSync(join(pool, name), { force: true });
    }
  }
  const served = servedNumber(folder);
  if (!options.dryRun && served !== undefined) removeOld(folder, served, config.keep);
  return { patches, kernels: gone, files };
}
