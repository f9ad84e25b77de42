/**
 * An archive for one release of Debian or Ubuntu: apt with a configuration, package lists and a keyring of its own below the
 * cache. Nothing of this machine's own package sources is changed.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { writeAtomically } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { givenMirror } from '../../base/workspace.ts';
import { AptArchive } from './archive.ts';

export interface Suites {
  /** For messages and the folder's name: `debian 11`. */
  readonly title: string;
  readonly architecture: string;
  readonly components: readonly string[];
  /** Names of suites; `security` says that they are in the security archive. */
  readonly suites: readonly { readonly name: string; readonly security?: boolean; readonly optional?: boolean }[];
  readonly keyring: string;
  readonly keyringPackage: string;
  /** What the archive's URL ends in, and what takes its place for the security archive. */
  readonly path: string;
  readonly securityPath: string;
}

/** Sets up apt for these suites below `folder`. Errors: `distribution-keyring`, `distribution-mirror`. */
export async function suiteArchive(
  suites: Suites,
  folder: string,
  options: { readonly mirror?: string; readonly allowExpired?: boolean },
): Promise<AptArchive> {
  const { title, keyring, keyringPackage } = suites;
  if (!existsSync(keyring))
    throw failure('distribution-keyring', { distribution: title, file: keyring, package: keyringPackage });
  const mirror = options.mirror ?? givenMirror() ?? machineMirror(suites.path);
  if (mirror === undefined) throw failure('distribution-mirror', { distribution: title });
  const lines = suites.suites.map(({ name, security }) => {
    const base = security === true ? securityMirror(mirror, suites) : mirror;
    return `deb [signed-by=${keyring}] ${base} ${name} ${suites.components.join(' ')}`;
  });
  const text = await configuration(suites, options.allowExpired === true);
  // Another mirror, or other rules, has lists of its own.
  const own = join(
    folder,
    `${title.replace(/[^a-z0-9.]+/gi, '-')}-${sha256([...lines, text].join('\n')).slice(0, 12)}`,
  );
  for (const part of [
    'etc/apt/preferences.d',
    'var/lib/apt/lists/partial',
    'var/cache/apt/archives/partial',
    'var/lib/dpkg',
  ]) {
    mkdirSync(join(own, part), { recursive: true });
  }
  if (!existsSync(join(own, 'var/lib/dpkg/status'))) writeFileSync(join(own, 'var/lib/dpkg/status'), '');
  writeAtomically(join(own, 'etc/apt/sources.list'), `${lines.join('\n')}\n`);
  const config = join(own, 'apt.conf');
  writeAtomically(config, text.replaceAll('@FOLDER@', own));
  return new AptArchive(title, config);
}

/** Proxies and the like are this machine's; folders and the architecture are not. */
async function configuration({ architecture }: Suites, allowExpired: boolean): Promise<string> {
  const dump = await run('apt-config', ['dump'], { env: { LC_ALL: 'C' } }).catch(() => undefined);
  if (dump === undefined) throw failure('tool-missing', { tool: 'apt-config', package: 'apt' });
  const network = dump.stdout
    .toString()
    .split('\n')
    .filter((line) => /^Acquire::(?:https?|ftp|Retries|ForceIPv)\b/.test(line) && !/^\S+ "";$/.test(line));
  return [
    ...network,
    'Dir "@FOLDER@";',
    'Dir::State "var/lib/apt";',
    'Dir::State::status "@FOLDER@/var/lib/dpkg/status";',
    'Dir::Cache "var/cache/apt";',
    'Dir::Etc "etc/apt";',
    'Dir::Etc::Trusted "/dev/null";',
    'Dir::Etc::TrustedParts "/dev/null";',
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    'APT::Install-Recommends "false";',
    'APT::Sandbox::User "root";',
    'Acquire::Languages "none";',
    ...(allowExpired ? ['Acquire::Check-Valid-Until "false";'] : []),
    '',
  ].join('\n');
}

/** The archive that this machine itself uses, by its sources; undefined if it uses none that ends in `path`. */
export function machineMirror(path: string, root = '/'): string | undefined {
  const uri = new RegExp(`\\b(?:https?|file|copy):[^\\s\\]]*/${path}/?(?=\\s|$)`);
  for (const file of sourceFiles(root)) {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /^\s*(?:deb\s|URIs:)/i.test(line));
    for (const line of lines) {
      const found = uri.exec(line)?.[0];
      if (found !== undefined) return found.replace(/\/$/, '');
    }
  }
  return undefined;
}

function sourceFiles(root: string): string[] {
  const list = join(root, 'etc/apt/sources.list');
  const folder = join(root, 'etc/apt/sources.list.d');
  const parts = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /\.(?:list|sources)$/.test(name))
        .map((name) => join(folder, name))
    : [];
  return [...(existsSync(list) ? [list] : []), ...parts];
}

/** The security archive is beside the archive proper: `…/debian` and `…/debian-security`. */
function securityMirror(mirror: string, { path, securityPath }: Suites): string {
  const end = new RegExp(`/${path}$`);
  return end.test(mirror) ? mirror.replace(end, `/${securityPath}`) : mirror;
}
