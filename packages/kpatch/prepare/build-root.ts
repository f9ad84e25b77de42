/** Build roots in the cache: made once for each compiler of a distribution release, shared by all kernels that it built. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { failure, KpatchError } from '../base/errors/error.ts';
import { temporaryFolder, writeAtomically } from '../base/files.ts';
import { lock } from '../base/process/lock.ts';
import type { Reporter } from '../base/report.ts';
import { runOk } from '../base/run.ts';
import { cacheRoot } from '../base/workspace.ts';
import type { ArchiveOptions, DistributionRelease } from '../distro/distribution.ts';
import { distributionOf } from '../distro/registry.ts';
import type { buildRootDocument } from '../documents/definitions/stored.ts';
import { type Stored, storedDocument } from '../documents/form.ts';
import type { PackageVersion } from '../kernel/target.ts';
import type { BuildRoot, BuildRootPlan, WantedCompiler } from '../toolchain/build-root.ts';
import { packagesFolder, packagesLock } from './cache.ts';

/** How long to wait for another kpatch that makes the same build root. */
const WAIT_MS = 900_000;

type BuildRootRecord = Stored<typeof buildRootDocument>;

/** The folder of all build roots. */
export function buildRootsFolder(): string {
  return join(cacheRoot(), 'roots');
}

/** `DISTRIBUTION-VERSION-gcc-12.2.0-14`: the distribution release and what the kernel says of its compiler. */
export function buildRootKey({ distribution, version }: DistributionRelease, compiler: WantedCompiler): string {
  // `gcc-12 (VENDOR 12.2.0-14) 12.2.0`
  const exact = /\(\w[\w ]* (\d[^)\s]*)\)/.exec(compiler.text)?.[1] ?? compiler.major ?? 'default';
  return `${distribution}-${version}-${compiler.family}-${exact}`.replace(/[^A-Za-z0-9.-]+/g, '-');
}

/**
 * The build root for a compiler, from the cache or made now; undefined if the distribution has none. One of pinned packages
 * has a folder of its own; where a package is gone, it is the usual one.
 * Errors: those of `Distribution.buildRoot`, `tool-failed`, `disk-full`, `locked`.
 */
export async function buildRoot(
  release: DistributionRelease,
  compiler: WantedCompiler,
  options: ArchiveOptions,
  report: Reporter,
): Promise<BuildRoot | undefined> {
  const record = distributionOf(release.distribution);
  if (record.buildRoot === undefined) return undefined;
  const { pins = [], ...ordinary } = options;
  const usual = buildRootKey(release, compiler);
  const isUsual = pins.length === 0 || samePackages(pins, packagesOfBuildRoot(join(buildRootsFolder(), usual)));
  const key = isUsual ? usual : `${usual}-pinned-${sha256(listOf(pins).join('\n')).slice(0, 16)}`;
  const folder = join(buildRootsFolder(), key);
  const present = read(folder);
  if (present !== undefined) return { folder, key, packages: present.packages };
  using _held = await lock(join(buildRootsFolder(), `.${key}.lock`), `the build root ${key}`, {
    waitMs: WAIT_MS,
    onWait: () => report.note(`another kpatch is making the build root ${key}; waiting for it`),
  });
  const made = read(folder);
  if (made !== undefined) return { folder, key, packages: made.packages };
  using _packages = await lock(packagesLock(), 'the downloaded packages', { shared: true, waitMs: WAIT_MS });
  const context = { report, packages: packagesFolder(), cache: cacheRoot() };
  const plan = await record.buildRoot(release.version, compiler, options, context);
  const asWanted = isUsual || samePackages(pins, plan.packages);
  const files = asWanted ? await fetched(plan, !isUsual) : undefined;
  // One of them is gone; the caller compares what the build root consists of.
  if (files === undefined) return await buildRoot(release, compiler, ordinary, report);
  await report.stage(`unpack the build root ${key}`, async () => {
    mkdirSync(buildRootsFolder(), { recursive: true });
    using unfinished = temporaryFolder('.unfinished-', buildRootsFolder());
    try {
      await plan.unpack(files, unfinished.path);
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ENOSPC'
        ? failure('disk-full', { file: folder }, { cause: error })
        : error;
    }
    await runOk('chmod', ['-R', 'u+rwX,go+rX,go-w', unfinished.path]);
    const stored: BuildRootRecord = { format: 1, packages: plan.packages };
    // Written last: a folder with this file is whole.
    writeAtomically(join(unfinished.path, 'build-root.json'), `${JSON.stringify(stored, null, 1)}\n`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished.path, folder);
  });
  return { folder, key, packages: plan.packages };
}

/** The files of a plan; undefined if the archive has lost one of them, which it lists, and there is another plan. */
async function fetched(plan: BuildRootPlan, hasOther: boolean): Promise<readonly string[] | undefined> {
  try {
    return await plan.fetch();
  } catch (error) {
    if (hasOther && error instanceof KpatchError && error.code === 'package-gone') return undefined;
    throw error;
  }
}

const listOf = (packages: readonly PackageVersion[]): string[] =>
  packages.map(({ name, version, sha256: digest = '' }) => `${name}=${version} ${digest}`).sort();

/** True if these are the same packages in the same versions; a digest counts where both have one. */
export function samePackages(one: readonly PackageVersion[], other: readonly PackageVersion[]): boolean {
  const known = new Map(other.map((each) => [each.name, each]));
  return (
    one.length === other.length &&
    one.every(({ name, version, sha256: digest }) => {
      const twin = known.get(name);
      if (twin?.version !== version) return false;
      return digest === undefined || twin.sha256 === undefined || digest === twin.sha256;
    })
  );
}

/** The packages that a build root consists of; an empty list if its folder is damaged. */
export function packagesOfBuildRoot(folder: string): readonly PackageVersion[] {
  return read(folder)?.packages ?? [];
}

function read(folder: string): BuildRootRecord | undefined {
  const file = join(folder, 'build-root.json');
  if (!existsSync(file)) return undefined;
  try {
    return storedDocument('kpatch.build-root', JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}
