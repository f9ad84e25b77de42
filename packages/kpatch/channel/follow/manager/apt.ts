/**
 * Following by apt. The channel is a source of kpatch's own calls alone: no other apt command of the machine knows it, so it
 * cannot bring another package, whatever its metadata says of itself. What a call would install is looked at first.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../../../base/errors/error.ts';
import { temporaryFolder, writeAtomically } from '../../../base/files.ts';
import { type RunResult, run } from '../../../base/run.ts';
import { aptKeyring, clientPackage } from '../../client-names.ts';
import { packageNames } from '../../package/name.ts';
import { component, suite } from '../../repository/index/apt.ts';
import { aptSource } from '../../repository/index/client-package.ts';
import { readSettings } from '../settings.ts';
import type { Manager, Metadata } from './manager.ts';
import { refusal } from './refusal.ts';

/** What earlier versions wrote: the channel as a source of every apt command, held by a pin. */
const former = ['etc/apt/sources.list.d/kpatch-channel.sources', 'etc/apt/preferences.d/kpatch-channel'];
/** The channel's lists, which no other apt command clears: they are how apt notices that a publication is older. */
const listFolder = 'var/lib/kpatch/apt';

export class AptManager implements Manager {
  readonly name = 'apt';
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  packageFor(kernel: string): string {
    return packageNames(kernel).deb;
  }

  configure(_url: string, _armored: string, binary: Uint8Array): Promise<void> {
    for (const file of former) rmSync(join(this.#root, file), { force: true });
    const file = join(this.#root, aptKeyring);
    mkdirSync(dirname(file), { recursive: true });
    writeAtomically(file, binary);
    return Promise.resolve();
  }

  /** Paths of what `configure` writes or removes. */
  files(): readonly string[] {
    return [aptKeyring, ...former];
  }

  async refresh(): Promise<void> {
    if (!existsSync(join(this.#root, aptKeyring))) throw failure('channel-not-followed', {});
    // Any failure is one: by itself apt-get update ends with 0 when a source cannot be reached.
    const options = ['-o', 'APT::Get::List-Cleanup=0', '-o', 'APT::Update::Error-Mode=any'];
    const result = await this.#apt('update', ...options);
    // apt keeps the list it has and only warns where a new one does not hold.
    const output = textOf(result);
    if (result.status !== 0 || /^W: .*(?:signature|GPG error|not signed)/m.test(output))
      throw refusal(this.#url(), output);
  }

  metadata(): Metadata | undefined {
    const file = this.#release();
    if (file === undefined) return undefined;
    const text = readFileSync(file, 'utf8');
    const seconds = (name: string): number => {
      const time = Date.parse(new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? '');
      return Number.isNaN(time) ? 0 : Math.floor(time / 1000);
    };
    return { published: seconds('Date'), validUntil: seconds('Valid-Until') };
  }

  discard(): Promise<void> {
    rmSync(join(this.#root, listFolder), { recursive: true, force: true });
    return Promise.resolve();
  }

  async installed(prefix: string): Promise<ReadonlyMap<string, string>> {
    const format = '$'.concat('{db:Status-Status} $', '{Package} $', '{Version}\\n');
    const result = await run('dpkg-query', [`--root=${this.#root}`, '-W', `-f=${format}`, `${prefix}*`]);
    return parseInstalled(result.stdout.toString());
  }

  async available(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (names.length === 0) return new Map();
    const result = await this.#run('apt-cache', 'policy', ...names);
    return parseCandidates(result.stdout.toString());
  }

  async install(names: readonly string[]): Promise<void> {
    const options = ['-y', '--no-remove', '--no-install-recommends', '-o', 'Dpkg::Options::=--force-confold'];
    const plan = await this.#apt('install', '-s', ...options, ...names);
    this.#requireOwn(plan.status === 0 ? plan.stdout.toString() : '');
    const result = plan.status === 0 ? await this.#apt('install', ...options, ...names) : plan;
    if (result.status === 0) return;
    const output = textOf(result);
    const failed = refusal(this.#url(), output);
    if (failed.code !== 'channel-unreachable' || /Failed to fetch|Unable to fetch|Could not connect/.test(output))
      throw failed;
    throw failure('channel-install', { names: names.join(', '), manager: 'apt' }, { detail: output });
  }

  #apt(...args: string[]): Promise<RunResult> {
    const dpkg =
      this.#root === '/'
        ? []
        : ['-o', `DPkg::Options::=--root=${this.#root}`, '-o', 'DPkg::Options::=--force-not-root'];
    // Another apt may be at work: this one waits for it. In an image there is no user to drop privileges to.
    const sandbox = this.#root === '/' ? [] : ['-o', 'APT::Sandbox::User=root'];
    return this.#run('apt-get', '-o', 'DPkg::Lock::Timeout=600', ...sandbox, ...dpkg, ...args);
  }

  async #run(command: string, ...args: string[]): Promise<RunResult> {
    const image =
      this.#root === '/'
        ? []
        : ['-o', `Dir=${this.#root}`, '-o', `Dir::State::status=${join(this.#root, 'var/lib/dpkg/status')}`];
    // The source is in a file of this call alone. The path of the key is the one that this apt sees, also in an image.
    using work = temporaryFolder('kpatch-apt-');
    const source = join(work.path, 'channel.sources');
    const text = aptSource(this.#url(), suite, component).replace(aptKeyring, join(this.#root, aptKeyring));
    writeFileSync(source, text, { mode: 0o644 });
    const lists = join(this.#root, listFolder);
    mkdirSync(lists, { recursive: true, mode: 0o755 });
    const own = {
      'Dir::Etc::sourcelist': source,
      'Dir::Etc::sourceparts': '-',
      'Dir::Etc::preferences': '/dev/null',
      'Dir::Etc::preferencesparts': '-',
      'Dir::State::lists': lists,
      // The caches of the other apt commands are of other sources.
      'Dir::Cache::pkgcache': '',
      'Dir::Cache::srcpkgcache': '',
    };
    const options = Object.entries(own).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    return await run(command, [...image, ...options, ...args], {
      env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      timeoutMs: 1_800_000,
    });
  }

  /**
   * Requires that a simulated call installs live patches and the channel's own package, and changes nothing else: a patch
   * could depend on a newer package of the system that the channel brings along. Error: `channel-inconsistent`.
   */
  #requireOwn(plan: string): void {
    const changed = [...plan.matchAll(/^(?:Inst|Remv|Purg) (\S+)/gm)].map(([, name = '']) => name.replace(/:\w+$/, ''));
    const other = changed.find((name) => !name.startsWith('kpatch-patch-') && name !== clientPackage);
    if (other === undefined) return;
    throw failure('channel-inconsistent', { url: this.#url(), problem: `its packages would also change ${other}` });
  }

  /** The checked list as apt keeps it; its name is the address with the slashes as underscores. */
  #release(): string | undefined {
    const address = `${this.#url()}/apt/dists/${suite}/InRelease`.replace(/^\w+:\/*/, '');
    const escaped = (this.#url().startsWith('file:') ? `/${address}` : address)
      .replaceAll('_', '%5f')
      .replaceAll('/', '_');
    const file = join(this.#root, listFolder, escaped);
    return existsSync(file) ? file : undefined;
  }

  #url(): string {
    return readSettings(this.#root)?.url ?? '';
  }
}

function textOf(result: RunResult): string {
  return `${result.stderr}\n${result.stdout.toString()}`;
}

/** Packages and versions in the output of dpkg-query, one `STATUS NAME VERSION` on a line. */
export function parseInstalled(text: string): ReadonlyMap<string, string> {
  const rows = text.split('\n').map((line) => line.split(' '));
  return new Map(
    rows.filter(([status]) => status === 'installed').map(([, name = '', version = '']) => [name, version]),
  );
}

/** Packages and the versions that apt would install, in the output of `apt-cache policy`. */
export function parseCandidates(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let name = '';
  for (const line of text.split('\n')) {
    name = /^(\S+):$/.exec(line)?.[1] ?? name;
    const candidate = /^ {2}Candidate: (.+)$/.exec(line)?.[1];
    if (candidate !== undefined && candidate !== '(none)') found.set(name, candidate);
  }
  return found;
}
