/** Build roots of Debian and Ubuntu: which packages, and the few links that their maintainer scripts would have made. */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '../../base/files.ts';
import type { Stanza } from '../../formats/deb822.ts';
import type { PackageVersion } from '../../kernel/target.ts';
import { requireKeptInside } from '../../sandbox/output.ts';
import type { BuildRootPlan, WantedCompiler } from '../../toolchain/build-root.ts';
import type { ProviderContext } from '../provider.ts';
import type { AptArchive } from './archive.ts';
import { packageOf } from './kernels.ts';
import { unpackDebs } from './unpack.ts';

/** What kbuild calls beside the compiler, and what its host programs are built with. */
const tools = [
  ...['make', 'bc', 'bison', 'flex', 'perl-base', 'libelf-dev', 'libssl-dev', 'libc6-dev', 'zlib1g-dev', 'binutils'],
  ...['dash', 'bash', 'coreutils', 'sed', 'grep', 'findutils', 'mawk', 'diffutils', 'hostname', 'patch'],
  ...['tar', 'gzip', 'xz-utils', 'zstd', 'bzip2', 'cpio', 'kmod', 'util-linux', 'python3-minimal'],
];

/**
 * The plan for a compiler: the version that the kernel names if the archive has it, otherwise the archive's newest of that
 * major version; the caller compares the version texts. With `pins` it is exactly those packages if all of them can be had.
 * Errors: `kernel-part-missing`, `kernel-download`.
 */
export async function buildRootPlan(
  archive: AptArchive,
  compiler: WantedCompiler,
  context: ProviderContext,
  pins: readonly PackageVersion[] = [],
): Promise<BuildRootPlan> {
  const pinned = await pinnedStanzas(archive, pins, context);
  if (pinned !== undefined) return planOf(archive, pinned, context);
  const name = await compilerPackage(archive, compiler);
  const wanted = /\((?:Debian|Ubuntu) ([^)\s]+)\)/.exec(compiler.text)?.[1];
  const offered = await archive.show(name);
  const exact = offered.find(({ Version }) => Version === wanted);
  const linker = compiler.family === 'clang' ? [`lld-${compiler.major}`] : [];
  using scratch = temporaryFolder('kpatch-pin-');
  const pin = join(scratch.path, 'preferences');
  if (exact !== undefined) writeFileSync(pin, pinText(exact));
  const chosen = await archive.closure([name, ...linker, ...tools], `${archive.title}, ${name}`, {
    ...(exact === undefined ? {} : { preferences: pin }),
  });
  const shown = await archive.showAll(chosen.map(({ name: one }) => one));
  const stanzas = chosen
    .map(({ name: one, version }) => shown(one).find(({ Version }) => Version === version))
    .filter((stanza) => stanza !== undefined);
  return planOf(archive, stanzas, context);
}

function planOf(archive: AptArchive, stanzas: readonly Stanza[], context: ProviderContext): BuildRootPlan {
  return {
    packages: stanzas.map(packageOf),
    fetch: () => archive.fetchAll(stanzas, context),
    unpack: unpackAll,
  };
}

/** Exactly these packages, from the archive or from those that were kept here; undefined if one of them is gone. */
async function pinnedStanzas(
  archive: AptArchive,
  pins: readonly PackageVersion[],
  { packages }: ProviderContext,
): Promise<Stanza[] | undefined> {
  if (pins.length === 0) return undefined;
  const stanzas: Stanza[] = [];
  for (const pin of pins) {
    const stanza = await archive.recorded(pin, packages);
    if (stanza === undefined) return undefined;
    stanzas.push(stanza);
  }
  return stanzas;
}

/** `gcc-16-for-host` since Debian 14, `gcc-12` before; `clang-19`. */
async function compilerPackage(archive: AptArchive, { family, major }: WantedCompiler): Promise<string> {
  const name = major === undefined ? family : `${family}-${major}`;
  const host = `${name}-for-host`;
  return (await archive.show(host)).length > 0 ? host : name;
}

/** All packages of the compiler's source package in the version of this stanza (apt_preferences(5)). */
function pinText(stanza: Stanza): string {
  const [, source, version] = /^(\S+)(?: \(([^)]+)\))?$/.exec(stanza.Source ?? stanza.Package!) ?? [];
  return `Package: src:${source}\nPin: version ${version ?? stanza.Version}\nPin-Priority: 1001\n`;
}

/** Since Debian 12 every system has these as links into /usr; packages of older releases still bring the folders. */
const merged = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

async function unpackAll(files: readonly string[], folder: string): Promise<void> {
  for (const name of merged) {
    mkdirSync(join(folder, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, join(folder, name));
  }
  await unpackDebs(files, folder);
  // Here nothing of a package may lead to this machine's own folders.
  const used = ['usr', 'etc', 'usr/share', ...merged, ...merged.map((name) => `usr/${name}`)];
  requireKeptInside(
    folder,
    used.map((name) => join(folder, name)),
  );
  for (const name of merged) mergeBack(folder, name);
  alternatives(folder);
  // Manuals, documents and translations: half of the disk space.
  for (const name of ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info', 'var', 'etc/init.d']) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** dpkg-deb replaces a link by a folder if a package brings the folder: what it holds belongs below /usr. */
function mergeBack(folder: string, name: string): void {
  const path = join(folder, name);
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  moveInto(folder, path, join(folder, 'usr', name));
  rmSync(path, { recursive: true });
  symlinkSync(`usr/${name}`, path);
}

function moveInto(root: string, from: string, to: string): void {
  requireKeptInside(root, [to]);
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory() && existsSync(target)) moveInto(root, source, target);
    else {
      rmSync(target, { recursive: true, force: true });
      renameSync(source, target);
    }
  }
}

/** Links that `update-alternatives` and postinst scripts make; the first candidate that is there. */
const links: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  // Host programs of the build are compiled by `gcc`; the package of that name would bring another version.
  'usr/bin/gcc': [/^gcc-\d+$/, /^\w+-linux-gnu-gcc-\d+$/],
  'usr/bin/cc': ['gcc'],
  'usr/bin/sh': ['dash', 'bash'],
  'usr/bin/awk': ['mawk', 'gawk'],
  'usr/bin/python3': [/^python3\.\d+$/],
};

function alternatives(folder: string): void {
  for (const [link, candidates] of Object.entries(links)) {
    const path = join(folder, link);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
    const names = readdirSync(dirname(path));
    const found = candidates
      .map((one) => names.find((name) => (typeof one === 'string' ? one === name : one.test(name))))
      .find((name) => name !== undefined);
    if (found !== undefined) symlinkSync(found, path);
  }
}
