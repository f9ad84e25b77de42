/** Packages through apt: looked up and downloaded, never installed. */
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { sha256File } from '../../base/digest.ts';
import { fail } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { parseStanzas, type Stanza } from '../../formats/deb822.ts';
import { sandboxedOk } from '../../sandbox/sandbox.ts';
import { giveFolder } from '../../sandbox/user.ts';
import type { ProviderContext } from '../provider.ts';

/** Where apt itself keeps packages that it has fetched. */
const ARCHIVES = '/var/cache/apt/archives';

/** What apt knows of a package, all versions, newest first; an empty list where it knows none (or there is no apt). */
export async function aptShow(name: string): Promise<Stanza[]> {
  const { status, stdout } = await run('apt-cache', ['show', '--', name], { env: { LC_ALL: 'C' } }).catch(() => ({
    status: 127,
    stdout: Buffer.alloc(0),
  }));
  return status === 0 ? parseStanzas(stdout.toString()).filter((stanza) => stanza.Package === name) : [];
}

/** Names of packages that begin with `prefix`. */
export async function aptNames(prefix: string): Promise<string[]> {
  const result = await run('apt-cache', ['pkgnames', '--', prefix]).catch(() => undefined);
  return result === undefined ? [] : result.stdout.toString().split('\n').filter(Boolean).sort();
}

/** Fetches the lists of packages where there are none. Error: `kernel-download`. */
export async function aptUpdateIfEmpty({ report }: ProviderContext): Promise<void> {
  const told = await run('apt-config', ['shell', 'LISTS', 'Dir::State::lists/d']).catch(() => undefined);
  if (told === undefined) return; // no apt here
  const lists = /^LISTS='(.*)'$/m.exec(told.stdout.toString())?.[1] ?? '/var/lib/apt/lists';
  if (existsSync(lists) && readdirSync(lists).some((name) => name.includes('_Packages'))) return;
  await report.stage('apt-get update', async () => {
    const { status, stderr } = await run('apt-get', ['update', '-qq'], { timeoutMs: 300_000 });
    // apt-get ends with 0 where a server could not be reached and says so with a warning
    if (status !== 0 || /^[EW]: Failed to fetch/m.test(stderr)) {
      throw fail('kernel-download', { package: 'the package lists' }, { detail: stderr });
    }
  });
}

/**
 * The package file for a stanza of `aptShow`, downloaded unless it is there already with the right digest; gives its path.
 * Errors: `kernel-download`, `disk-full`.
 */
export async function aptFetch(stanza: Stanza, context: ProviderContext): Promise<string> {
  const name = stanza.Package!;
  const version = stanza.Version!;
  const file = `${name}_${version.replace(':', '%3a')}_${stanza.Architecture}.deb`;
  const target = join(context.packages, file);
  for (const path of [target, join(ARCHIVES, file)]) {
    if (existsSync(path) && (await sha256File(path)) === stanza.SHA256) return path;
  }
  const megabytes = (Number(stanza.Size ?? 0) / 1e6).toFixed(0);
  await context.report.stage(`download ${file} (${megabytes} MB)`, async () => {
    mkdirSync(context.packages, { recursive: true });
    using folder = temporaryFolder('.download-', context.packages);
    const args = ['-q', '-o', 'Acquire::Retries=3', 'download', `${name}=${version}`];
    const { status, stderr } = await run('apt-get', args, { cwd: folder.path, timeoutMs: 1_800_000 });
    const [fetched] = readdirSync(folder.path).filter((entry) => entry.endsWith('.deb'));
    if (/No space left/.test(stderr)) throw fail('disk-full', { file: target });
    if (status !== 0 || fetched === undefined)
      throw fail('kernel-download', { package: `${name}=${version}` }, { detail: stderr });
    renameSync(join(folder.path, fetched), target);
  });
  return target;
}

/** Unpacks a package below `root` without installing it. Errors: `tool-failed`, `disk-full`. */
export async function unpackDeb(path: string, root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveFolder(root);
  await sandboxedOk('dpkg-deb', ['-x', path, root], { view: { readOnly: [path], writable: [root] } });
}
