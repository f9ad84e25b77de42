/**
 * An archive of packages as apt sees it: the sources of this machine, or those of another release in a folder of their own.
 * Packages are looked up and downloaded, never installed.
 */
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { sha256File } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { saysDiskFull, temporaryFolder } from '../../base/files.ts';
import { type RunResult, run } from '../../base/run.ts';
import { parseStanzas, type Stanza } from '../../formats/deb822.ts';
import type { PackageVersion } from '../../kernel/target.ts';
import type { ProviderContext } from '../provider.ts';

/** How apt-get says that a mirror delivers other bytes than its signed lists describe, and that it has no such file. */
const inconsistent = /Hash Sum mismatch|File has unexpected size|Size mismatch/i;
const gone = /\b404\b|\bFile not found\b/i;

/** Where apt keeps packages that it has fetched for this machine. */
const ARCHIVES = '/var/cache/apt/archives';

export class AptArchive {
  /** For messages: `this machine`, `debian 11`. */
  readonly title: string;
  readonly #config: string | undefined;

  /** `config` is a file for APT_CONFIG; without it, the configuration of this machine holds. */
  constructor(title: string, config?: string) {
    this.title = title;
    this.#config = config;
  }

  #run(
    command: string,
    args: readonly string[],
    options: { cwd?: string; timeoutMs?: number } = {},
  ): Promise<RunResult> {
    const env = { LC_ALL: 'C', ...(this.#config === undefined ? {} : { APT_CONFIG: this.#config }) };
    return run(command, args, { ...options, env });
  }

  /** What apt knows of a package, all versions, newest first; an empty list if it knows none (or there is no apt). */
  async show(name: string): Promise<readonly Stanza[]> {
    return (await this.showAll([name]))(name);
  }

  /** `show` of several packages in one run: apt-cache takes up to a second to read its lists, whatever it is asked. */
  async showAll(names: readonly string[]): Promise<(name: string) => readonly Stanza[]> {
    const result =
      names.length === 0 ? undefined : await this.#run('apt-cache', ['show', '--', ...names]).catch(() => undefined);
    // With status 0 it has found at least one of them, and says on standard error which it does not know.
    const stanzas = result?.status === 0 ? parseStanzas(result.stdout.toString()) : [];
    const whole = stanzas.filter(({ Version, Architecture }) => Version !== undefined && Architecture !== undefined);
    const known = Map.groupBy(whole, ({ Package }) => Package);
    return (name) => known.get(name) ?? [];
  }

  /** What `apt-get install` would take: not what backports and experimental suites have besides. Undefined if there is none. */
  async candidate(name: string): Promise<Stanza | undefined> {
    const result = await this.#run('apt-cache', ['policy', '--', name]).catch(() => undefined);
    const version = /^ {2}Candidate: (\S+)$/m.exec(result?.stdout.toString() ?? '')?.[1];
    return (await this.show(name)).find(({ Version }) => Version === version);
  }

  /**
   * The package of a name, version and digest: as the archive has it, else a file that was kept in `packages`. Undefined if
   * it is gone, or if the archive has other bytes by this version.
   */
  async recorded({ name, version, sha256 }: PackageVersion, packages: string): Promise<Stanza | undefined> {
    const shown = (await this.show(name)).find(
      (one) => one.Version === version && (sha256 === undefined || one.SHA256 === sha256),
    );
    if (shown !== undefined || sha256 === undefined || !existsSync(packages)) return shown;
    const prefix = `${name}_${version.replace(':', '%3a')}_`;
    for (const file of readdirSync(packages)) {
      const architecture = file.startsWith(prefix)
        ? /^([a-z0-9]+)\.deb$/.exec(file.slice(prefix.length))?.[1]
        : undefined;
      if (architecture === undefined || (await sha256File(join(packages, file))) !== sha256) continue;
      return { Package: name, Version: version, Architecture: architecture, SHA256: sha256 };
    }
    return undefined;
  }

  /** Names of packages that begin with `prefix`. */
  async names(prefix: string): Promise<string[]> {
    const result = await this.#run('apt-cache', ['pkgnames', '--', prefix]).catch(() => undefined);
    return result === undefined ? [] : result.stdout.toString().split('\n').filter(Boolean).sort();
  }

  /** Fetches the package lists if there are none. Errors: as `update`. */
  async updateIfEmpty(context: ProviderContext): Promise<void> {
    const told = await this.#run('apt-config', ['shell', 'LISTS', 'Dir::State::lists/d']).catch(() => undefined);
    if (told === undefined) return; // no apt here
    const lists = /^LISTS='(.*)'$/m.exec(told.stdout.toString())?.[1] ?? '/var/lib/apt/lists';
    if (existsSync(lists) && readdirSync(lists).some((name) => name.includes('_Packages'))) return;
    await this.update(context);
  }

  /** Fetches the package lists. Errors: `kernel-download`, `package-mismatch`, `distribution-expired`, `distribution-untrusted`. */
  async update({ report }: ProviderContext): Promise<void> {
    await report.stage(`apt-get update (${this.title})`, async () => {
      const { status, stderr } = await this.#run('apt-get', ['update', '-qq'], { timeoutMs: 300_000 });
      if (/is expired|is not valid yet/.test(stderr)) {
        throw failure('distribution-expired', { distribution: this.title }, { detail: stderr });
      }
      if (/NO_PUBKEY|EXPKEYSIG|is not signed|BADSIG|REVKEYSIG/.test(stderr)) {
        throw failure('distribution-untrusted', { distribution: this.title }, { detail: stderr });
      }
      if (inconsistent.test(stderr)) {
        throw failure('package-mismatch', { package: `the package lists of ${this.title}` }, { detail: stderr });
      }
      // apt-get ends with 0 if a server could not be reached, and warns.
      if (status !== 0 || /^[EW]: Failed to fetch/m.test(stderr)) {
        throw failure('kernel-download', { package: `the package lists of ${this.title}` }, { detail: stderr });
      }
    });
  }

  /**
   * The package file for a stanza of `show`, downloaded unless it is there already with the right digest; gives its path.
   * Errors: `kernel-download`, `package-gone`, `package-mismatch`, `disk-full`.
   */
  async fetch(stanza: Stanza, context: ProviderContext): Promise<string> {
    const present = await presentFile(stanza, context.packages);
    if (present !== undefined) return present;
    const megabytes = (Number(stanza.Size ?? 0) / 1e6).toFixed(0);
    await context.report.stage(`download ${fileName(stanza)} (${megabytes} MB)`, () =>
      this.#download([stanza], context.packages),
    );
    return join(context.packages, fileName(stanza));
  }

  /** The package files for several stanzas, downloaded together. Errors: as `fetch`. */
  async fetchAll(stanzas: readonly Stanza[], context: ProviderContext): Promise<string[]> {
    const paths = new Map<Stanza, string>();
    const missing: Stanza[] = [];
    for (const stanza of stanzas) {
      const path = await presentFile(stanza, context.packages);
      if (path === undefined) missing.push(stanza);
      else paths.set(stanza, path);
    }
    if (missing.length > 0) {
      const megabytes = missing.reduce((sum, { Size }) => sum + Number(Size ?? 0), 0) / 1e6;
      const title = `download ${plural(missing.length, 'package')} of ${this.title} (${megabytes.toFixed(0)} MB)`;
      await context.report.stage(title, () => this.#download(missing, context.packages));
    }
    for (const stanza of missing) paths.set(stanza, join(context.packages, fileName(stanza)));
    return stanzas.map((stanza) => paths.get(stanza)!);
  }

  /** Downloads into a folder beside `packages`, checks the digests, and moves the files there. */
  async #download(stanzas: readonly Stanza[], packages: string): Promise<void> {
    mkdirSync(packages, { recursive: true });
    using folder = temporaryFolder('.download-', packages);
    const names = stanzas.map(({ Package, Version, Architecture }) => `${Package}${archOf(Architecture)}=${Version}`);
    const args = ['-q', '-o', 'Acquire::Retries=3', 'download', ...names];
    const { status, stderr } = await this.#run('apt-get', args, { cwd: folder.path, timeoutMs: 1_800_000 });
    if (saysDiskFull(stderr)) throw failure('disk-full', { file: packages });
    let failed: Error | undefined;
    for (const stanza of stanzas) {
      const from = join(folder.path, fileName(stanza));
      // A mirror that is half synchronised has the list but not the file, or another file.
      if (existsSync(from) && (stanza.SHA256 === undefined || (await sha256File(from)) === stanza.SHA256)) {
        // Kept whatever happens to the others: the next attempt does not fetch it again.
        renameSync(from, join(packages, fileName(stanza)));
        continue;
      }
      const detail = stderr.trim() || `apt-get exited with status ${status}`;
      const named = { package: `${stanza.Package}=${stanza.Version}` };
      const isOther = inconsistent.test(stderr) || status === 0;
      const code = isOther ? 'package-mismatch' : gone.test(stderr) ? 'package-gone' : 'kernel-download';
      failed ??= failure(code, named, { detail });
    }
    if (failed !== undefined) throw failed;
  }

  /**
   * The packages that an empty system needs to install these: all dependencies, without recommendations, in the order of
   * installation. Error: `kernel-part-missing` if apt cannot satisfy them.
   */
  async closure(
    names: readonly string[],
    what: string,
    { preferences }: { readonly preferences?: string } = {},
  ): Promise<{ name: string; version: string }[]> {
    const pins = preferences === undefined ? [] : ['-o', `Dir::Etc::Preferences=${preferences}`, '--allow-downgrades'];
    const args = ['install', '-s', '-q', '--no-install-recommends', ...pins];
    const { status, stdout, stderr } = await this.#run('apt-get', [...args, '--', ...names]);
    const chosen = parsePlan(stdout.toString());
    if (status === 0 && chosen.length > 0) return chosen;
    throw failure(
      'kernel-part-missing',
      { release: what, part: 'compiler packages', package: names.join(' ') },
      { detail: `${stdout.toString()}${stderr}`.trim() },
    );
  }
}

/** The packages in the output of `apt-get install -s`, in the order of installation. */
export function parsePlan(text: string): { name: string; version: string }[] {
  return [...text.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name = '', version = '']) => ({ name, version }));
}

/** As apt names a downloaded file. */
function fileName({ Package, Version, Architecture }: Stanza): string {
  return `${Package}_${Version!.replace(':', '%3a')}_${Architecture}.deb`;
}

function archOf(architecture: string | undefined): string {
  return architecture === undefined || architecture === 'all' ? '' : `:${architecture}`;
}

/** The file of a package if it is there with the right digest. */
async function presentFile(stanza: Stanza, packages: string): Promise<string | undefined> {
  for (const path of [join(packages, fileName(stanza)), join(ARCHIVES, fileName(stanza))]) {
    if (existsSync(path) && (await sha256File(path)) === stanza.SHA256) return path;
  }
  return undefined;
}

/** The package sources of this machine. */
export const machineArchive = new AptArchive('this machine');
