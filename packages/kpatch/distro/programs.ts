/** Programs for virtual machines of another machine: from packages of a distribution, unpacked into the cache, never installed. */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { temporaryFolder } from '../base/files.ts';
import { type Reporter, silentReporter } from '../base/report.ts';
import { cacheRoot } from '../base/workspace.ts';
import type { Naming } from '../platform/naming.ts';
import type { Distribution } from './distribution.ts';
import { distributions } from './registry.ts';

/** The folder of such programs in the cache. */
export function programsFolder(): string {
  return join(cacheRoot(), 'programs');
}

/** Distributions as these functions ask them; tests give their own. */
type Sources = readonly Pick<Distribution, 'foreignPackages'>[];

/**
 * Path of a static busybox for a machine, downloaded at the first use. Errors: `guest-programs`, those of reaching the
 * distribution's archive, `kernel-download`, `tool-failed`, `disk-full`.
 */
export async function busyboxFor(
  machine: Naming,
  report: Reporter = silentReporter(),
  from: Sources = distributions(),
): Promise<string> {
  const path = join(programsFolder(), machine.uname, 'busybox');
  await unpackedOnce(path, machine, ['busybox-static'], { report, from, pick: busyboxIn });
  return path;
}

/** Packages with the libraries of kpatch's executable, and with the programs that it calls and busybox lacks. */
const hostPackages = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1', 'util-linux'];

/** Folder with the files of these packages for a machine. Errors: as `busyboxFor`. */
export async function hostFilesFor(
  machine: Naming,
  report: Reporter = silentReporter(),
  from: Sources = distributions(),
): Promise<string> {
  const path = join(programsFolder(), machine.uname, 'root');
  await unpackedOnce(path, machine, hostPackages, { report, from, pick: (folder) => folder });
  return path;
}

interface Unpacking {
  readonly report: Reporter;
  readonly from: Sources;
  /** What of the unpacked files is kept, by their folder; undefined if it is not there. */
  readonly pick: (folder: string) => string | undefined;
}

async function unpackedOnce(
  path: string,
  machine: Naming,
  names: readonly string[],
  { report, from, pick }: Unpacking,
): Promise<void> {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  using folder = temporaryFolder('.unfinished-', programsFolder());
  const context = { report, packages: join(cacheRoot(), 'packages'), cache: cacheRoot() };
  for (const { foreignPackages } of from) {
    const root = join(folder.path, 'root');
    if ((await foreignPackages?.(machine, names, root, context)) !== true) continue;
    const found = pick(root);
    if (found === undefined) continue;
    renameSync(found, path);
    return;
  }
  throw failure('guest-programs', { machine: machine.uname, packages: names.join(', '), file: path });
}

function busyboxIn(folder: string): string | undefined {
  return ['usr/bin/busybox', 'bin/busybox'].map((name) => join(folder, name)).find((file) => existsSync(file));
}
