/**
 * A stock kernel for tests: image, modules and headers of the newest release of a series that apt offers, unpacked once
 * into the cache (no source is fetched, nothing is installed).
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { lock } from '#kpatch/base/process/lock.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import { machineArchive } from '#kpatch/distro/debian/archive.ts';
import { partsBelow } from '#kpatch/distro/debian/kernels.ts';
import { unpackDeb } from '#kpatch/distro/debian/unpack.ts';
import { parseDependencies, type Stanza } from '#kpatch/formats/deb822.ts';
import { packagesFolder } from '#kpatch/prepare/cache.ts';

export interface StockKernel {
  readonly release: string;
  readonly image: string;
  /** `lib/modules/RELEASE`. */
  readonly modules: string;
  /** For `make -C`. */
  readonly headers: string;
}

/** Debian's package that always depends on the newest image of a series. */
const metaPackages = { '6.1': 'linux-image-amd64', '6.12': 'linux-image-6.12-amd64' } as const;

const found = new Map<string, Promise<StockKernel>>();

export function stockKernel(series: keyof typeof metaPackages = '6.1'): Promise<StockKernel> {
  let kernel = found.get(series);
  if (kernel === undefined) {
    kernel = unpackOnce(metaPackages[series]);
    found.set(series, kernel);
  }
  return kernel;
}

async function unpackOnce(meta: string): Promise<StockKernel> {
  const context = { report: silentReporter(), packages: packagesFolder(), cache: cacheRoot() };
  await machineArchive.updateIfEmpty(context);
  const release = await newestOf(meta);
  const root = join(cacheRoot(), 'test-kernels', release);
  using _held = await lock(`${root}.lock`, `the test kernel ${release}`, { waitMs: 1_200_000 });
  if (!existsSync(root)) {
    const image = await newest(`linux-image-${release}`);
    const headers = await newest(`linux-headers-${release}`);
    const others = parseDependencies(headers.Depends).filter(({ name }) => /^linux-(headers|kbuild)-/.test(name));
    const packages = [image, headers, ...(await Promise.all(others.map(({ name }) => newest(name))))];
    mkdirSync(join(root, '..'), { recursive: true });
    using unfinished = temporaryFolder('.unpack-', join(root, '..'));
    for (const stanza of packages) await unpackDeb(await machineArchive.fetch(stanza, context), unfinished.path);
    renameSync(unfinished.path, root);
  }
  const { image, headers, modules } = partsBelow(root, release);
  return { release, image, headers, modules: modules! };
}

async function newestOf(meta: string): Promise<string> {
  const needed = parseDependencies((await newest(meta)).Depends).find(({ name }) => name.startsWith('linux-image-'));
  if (needed === undefined) throw new Error(`${meta} depends on no image`);
  const { name } = needed;
  return /^linux-image-\d.*-amd64$/.test(name) && name !== 'linux-image-6.12-amd64'
    ? name.slice('linux-image-'.length)
    : newestOf(name);
}

async function newest(name: string): Promise<Stanza> {
  const [stanza] = await machineArchive.show(name);
  if (stanza === undefined) throw new Error(`apt knows no package ${name}`);
  return stanza;
}

/**
 * For guests with live patches: at the beginning and the end of each transition, 6.12 rewrites every call of cond_resched() in
 * the kernel (klp_cond_resched_enable of kernel/livepatch/transition.c), and all processors have to take part in each rewriting:
 * on a busy machine, whose emulated processors wait for each other, that takes 40 s, with one processor 3 s.
 * host-bpf.test.ts has two all the same.
 */
export function processorsFor(series: keyof typeof metaPackages): { readonly cpus?: number } {
  return series === '6.12' ? { cpus: 1 } : {};
}
