/** From the offer of a provider to a complete folder of the cache. */
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import { runOk } from '../../base/run.ts';
import type { KernelOffer, UnpackedParts } from '../../distro/provider.ts';
import { buildIdOf } from '../../kernel/build-id.ts';
import { type KernelConfig, readConfig } from '../../kernel/config.ts';
import { KernelImage } from '../../kernel/image.ts';
import { readKallsyms } from '../../kernel/kallsyms/kallsyms.ts';
import { writeKallsyms } from '../../kernel/kallsyms/kallsyms-file.ts';
import type { KernelCompiler, TargetKernel } from '../../kernel/target.ts';
import { unpackImage } from '../../kernel/unpack.ts';
import { since } from '../../platform/kernel-rules.ts';
import type { Platform } from '../../platform/platform.ts';
import { namesOf, platformOfConfig, platformOfImage } from '../../platform/registry.ts';
import { readableFiles, takeBack } from '../../sandbox/user.ts';
import type { WantedCompiler } from '../../toolchain/build-root.ts';
import { compilerOf, wantedCompiler } from '../../toolchain/compiler.ts';
import { kernelFolder, writersLock } from '../cache.ts';
import { KernelFacts } from '../facts.ts';
import { writeManifest } from '../manifest.ts';
import { prepareTree } from './prepare.ts';
import { unpackSource } from './source-tree.ts';
import { builtVersionOf, sameVersion, sourceVersionOf, versionText } from './source-version.ts';

/** Bytes that a prepared kernel needs while it is made: source 1.5 GB, image and modules 0.5 GB, the tools. */
const NEEDED_BYTES = 3e9;

/** Where the compiler of a kernel comes from. */
export interface Toolchain {
  /** The distribution release that the kernel belongs to, as `debian:12`. */
  readonly origin: string | undefined;
  /** The folder of the build root; undefined for a compiler of this machine. */
  buildRoot(compiler: WantedCompiler): Promise<string | undefined>;
}

/** Fetches, unpacks and prepares in the cache folder of `key`, which must be empty; the manifest, written last, makes it complete. */
export async function prepareOffer(
  key: string,
  offer: KernelOffer,
  toolchain: Toolchain,
  report: Reporter,
): Promise<TargetKernel> {
  const { release } = offer;
  using _readable = readableFiles();
  const folder = kernelFolder(key);
  const root = join(folder, 'root');
  const tree = join(folder, 'tree');
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < (offer.neededBytes ?? NEEDED_BYTES)) throw failure('disk-full', { file: folder });
  const source = await offer.fetch();
  const withCompiler = async () => {
    const parts = await report.stage(`unpack image, headers and modules of ${release}`, () => offer.unpack(root));
    const config = join(parts.headers, '.config');
    const settings = readConfig(config);
    const platform = machineOf(settings, config, parts.image);
    const compiler = await compilerOf(settings, await toolchain.buildRoot(wantedCompiler(settings)));
    return { parts, settings, platform, compiler };
  };
  // The source is by far the largest; the compiler is fetched in the meantime.
  const [{ parts, settings, platform, compiler }] = await allDone([
    withCompiler(),
    report.stage(`unpack the source of ${release}`, () => unpackSource(source, tree)),
  ]);
  checkParts(release, parts, tree);
  checkRealTime(settings, tree);
  const kernel = await report.stage(`prepare ${release}`, async (update) => {
    const [described] = await allDone([
      describe(offer, parts, folder, settings, compiler, platform, toolchain.origin),
      prepareTree({
        release,
        headers: parts.headers,
        tree,
        naming: platform.naming,
        compiler,
        writers: writersLock(key),
        update,
      }),
    ]);
    return described;
  });
  const made = [root, tree].filter(existsSync);
  await takeBack(made);
  await runOk('chmod', ['-R', 'a-w', ...made]);
  await writeManifest(kernel);
  // Done here because preparation takes time anyway; the first build reports any problem.
  await new KernelFacts(kernel).rules().catch(() => {});
  return kernel;
}

/**
 * As `Promise.all`, but an error waits for the others to end too: nothing may still write into a folder that the caller then
 * removes.
 */
async function allDone<T extends readonly unknown[]>(
  works: {
    readonly [K in keyof T]: Promise<T[K]>;
  },
): Promise<{ -readonly [K in keyof T]: T[K] }> {
  await Promise.allSettled(works);
  return await Promise.all(works);
}

/** The machine that a configuration is for, or the image where the configuration does not say. Error: `platform-unknown`. */
function machineOf(settings: KernelConfig, config: string, image: string): Platform {
  const platform = platformOfConfig((option) => settings.has(option)) ?? platformOfImage(readBytes(image));
  if (platform !== undefined) return platform;
  throw failure(
    'platform-unknown',
    { name: `of ${config}`, known: namesOf('uname').join(', ') },
    { where: { file: config } },
  );
}

/** Looks into the image; keeps vmlinux and its symbols beside the tree. */
async function describe(
  offer: KernelOffer,
  parts: UnpackedParts,
  folder: string,
  settings: KernelConfig,
  compiler: KernelCompiler,
  platform: Platform,
  origin: string | undefined,
): Promise<TargetKernel> {
  const { release } = offer;
  const vmlinux = join(folder, 'vmlinux');
  const kallsyms = join(folder, 'kallsyms');
  const image = new KernelImage(await unpackImage(readBytes(parts.image), parts.image), parts.image);
  if (image.platform !== platform) {
    const reason = `it is for ${image.platform.naming.uname}, and the configuration for ${platform.naming.uname}`;
    throw failure('kernel-image-format', { file: parts.image, reason }, { where: { file: parts.image } });
  }
  const found = /^Linux version (\S+)/.exec(image.banner ?? '')?.[1];
  if (found !== undefined && found !== release) {
    throw failure(
      'kernel-release-mismatch',
      { part: 'image', found, wanted: release },
      { where: { file: parts.image } },
    );
  }
  writeAtomically(vmlinux, image.bytes, 0o444);
  const symbols = readKallsyms(image);
  writeKallsyms(kallsyms, symbols);
  return {
    release,
    version: sourceVersionOf(join(folder, 'tree')),
    arch: platform.naming.uname,
    distribution: offer.distribution,
    ...(origin === undefined ? {} : { origin }),
    sourceVersion: offer.sourceVersion,
    packages: offer.packages,
    paths: {
      root: folder,
      tree: join(folder, 'tree'),
      headers: parts.headers,
      config: join(parts.headers, '.config'),
      symvers: join(parts.headers, 'Module.symvers'),
      image: parts.image,
      vmlinux,
      kallsyms,
      modules: parts.modules,
    },
    compiler,
    buildId: buildIdOf(image, symbols),
    livepatch: settings.has('LIVEPATCH'),
    banner: image.banner,
  };
}

/** Image, headers and source must be of one build, whatever the names of their files say. */
function checkParts(release: string, parts: UnpackedParts, tree: string): void {
  const header = join(parts.headers, 'include/generated/utsrelease.h');
  const found = existsSync(header) ? /UTS_RELEASE\s+"([^"]*)"/.exec(readBytes(header).toString())?.[1] : undefined;
  if (found !== undefined && found !== release) {
    throw failure('kernel-release-mismatch', { part: 'headers', found, wanted: release }, { where: { file: header } });
  }
  const built = builtVersionOf(parts.headers);
  const source = sourceVersionOf(tree);
  if (built !== undefined && !sameVersion(built, source)) {
    throw failure('kernel-source-mismatch', { found: versionText(source), wanted: versionText(built) });
  }
}

/**
 * Before Linux 6.12 (commit d2d6422f8bd1) PREEMPT_RT was a patch of its own, which distributions keep beside their source package; it adds the file
 * localversion-rt. Without it the code of such a kernel cannot be made.
 */
function checkRealTime(settings: KernelConfig, tree: string): void {
  const version = sourceVersionOf(tree);
  if (!settings.has('PREEMPT_RT') || since(version, 6, 12)) return;
  if (existsSync(join(tree, 'localversion-rt'))) return;
  const found = versionText(version);
  throw failure('kernel-source-mismatch', {
    found: `${found} without the PREEMPT_RT patches`,
    wanted: `${found} with the PREEMPT_RT patches (localversion-rt)`,
  });
}
