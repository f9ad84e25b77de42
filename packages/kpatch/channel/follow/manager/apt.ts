/**
 * Following by apt. Only the channel's own source is fetched, and only the packages of live patches are ever taken from it.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../../../base/errors/error.ts';
import { temporaryFolder, writeAtomically } from '../../../base/files.ts';
import { type RunResult, run } from '../../../base/run.ts';
import { aptKeyring } from '../../client-names.ts';
import { packageNames } from '../../package/name.ts';
import { isChannelName } from '../../repository/config.ts';
import { component, suite } from '../../repository/index/apt.ts';
import { aptSource } from '../../repository/index/client-package.ts';
import { readSettings } from '../settings.ts';
import type { Manager, Metadata } from './manager.ts';
import { refusal } from './refusal.ts';

const sourceFile = 'etc/apt/sources.list.d/kpatch-channel.sources';
const pinFile = 'etc/apt/preferences.d/kpatch-channel';

export class AptManager implements Manager {
  readonly name = 'apt';
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  packageFor(kernel: string): string {
    return packageNames(kernel).deb;
  }

  configure(url: string, _armored: string, binary: Uint8Array): Promise<void> {
    this.#write(aptKeyring, binary);
    this.#write(sourceFile, aptSource(url, suite, component));
    this.#pin();
    return Promise.resolve();
  }

  forget(): void {
    for (const file of [sourceFile, pinFile, aptKeyring]) rmSync(join(this.#root, file), { force: true });
  }

  async refresh(): Promise<void> {
    if (!existsSync(join(this.#root, sourceFile))) throw fail('channel-not-followed', {});
    // Only this source, and any failure is one: by itself apt-get update ends with 0 when a source cannot be reached.
    using outside = temporaryFolder('kpatch-apt-');
    const source = this.#sourceFromHere(outside.path);
    const only = ['-o', `Dir::Etc::sourcelist=${source}`, '-o', 'Dir::Etc::sourceparts=-'];
    const options = [...only, '-o', 'APT::Get::List-Cleanup=0', '-o', 'APT::Update::Error-Mode=any'];
    const result = await this.#apt('update', ...options);
    // apt keeps the list it has and only warns where a new one does not hold.
    const output = textOf(result);
    if (result.status !== 0 || /^W: .*(?:signature|GPG error|not signed)/m.test(output))
      throw refusal(this.#url(), output);
    this.#pin();
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

  async installed(prefix: string): Promise<ReadonlyMap<string, string>> {
    const format = '$'.concat('{db:Status-Status} $', '{Package} $', '{Version}\\n');
    const result = await run('dpkg-query', [`--root=${this.#root}`, '-W', `-f=${format}`, `${prefix}*`]);
    const rows = result.stdout
      .toString()
      .split('\n')
      .map((line) => line.split(' '));
    return new Map(
      rows.filter(([status]) => status === 'installed').map(([, name = '', version = '']) => [name, version]),
    );
  }

  async available(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    if (names.length === 0) return found;
    const result = await this.#run('apt-cache', 'policy', ...names);
    let name = '';
    for (const line of result.stdout.toString().split('\n')) {
      name = /^(\S+):$/.exec(line)?.[1] ?? name;
      const candidate = /^ {2}Candidate: (.+)$/.exec(line)?.[1];
      if (candidate !== undefined && candidate !== '(none)') found.set(name, candidate);
    }
    return found;
  }

  async install(names: readonly string[]): Promise<void> {
    const options = ['-y', '--no-remove', '--no-install-recommends', '-o', 'Dpkg::Options::=--force-confold'];
    const result = await this.#apt('install', ...options, ...names);
    if (result.status === 0) return;
    const output = textOf(result);
    const failed = refusal(this.#url(), output);
    if (failed.code !== 'channel-unreachable' || /Failed to fetch|Unable to fetch|Could not connect/.test(output))
      throw failed;
    throw fail('channel-install', { names: names.join(', '), manager: 'apt' }, { detail: output });
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

  #run(command: string, ...args: string[]): Promise<RunResult> {
    const image =
      this.#root === '/'
        ? []
        : ['-o', `Dir=${this.#root}`, '-o', `Dir::State::status=${join(this.#root, 'var/lib/dpkg/status')}`];
    return run(command, [...image, ...args], {
      env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      timeoutMs: 1_800_000,
    });
  }

  /**
   * The source as this process can use it. In an image the key ring has the path that apt inside the image will see, so a copy
   * for this run names it from outside.
   */
  #sourceFromHere(folder: string): string {
    const own = join(this.#root, sourceFile);
    if (this.#root === '/') return own;
    const text = readFileSync(own, 'utf8').replace(
      `Signed-By: ${aptKeyring}`,
      `Signed-By: ${join(this.#root, aptKeyring)}`,
    );
    const copy = join(folder, 'kpatch-channel.sources');
    writeAtomically(copy, text);
    return copy;
  }

  /**
   * The channel may bring live patches and its own package, and nothing else: whoever holds its key cannot replace any
   * other package. Its name is known once its metadata has been read and checked. One that is not a plain name, or is
   * beside another code name, would match no pin: such a channel is not followed. (That either changes later, apt itself
   * refuses.)
   */
  #pin(): void {
    const release = this.#release();
    if (release === undefined) return;
    const text = readFileSync(release, 'utf8');
    const field = (name: string): string => {
      return [...text.matchAll(new RegExp(`^${name}:(.*)$`, 'gmi'))]
        .map(([, value = '']) => value.trim())
        .join(' and ');
    };
    const origin = field('Origin');
    if (!isChannelName(origin) || field('Codename') !== suite) {
      const url = this.#url();
      this.forget();
      rmSync(release, { force: true });
      const problem = `its Release file has Origin '${origin}' and Codename '${field('Codename')}', so apt could install other packages from it; it was removed from the sources`;
      throw fail('channel-inconsistent', { url, problem });
    }
    const stanza = (packages: string, priority: number): string =>
      `Package: ${packages}\nPin: release o=${origin}, n=${suite}\nPin-Priority: ${priority}\n`;
    this.#write(pinFile, `${stanza('kpatch-patch-* kpatch-channel', 500)}\n${stanza('*', -1)}`);
  }

  /** The checked list as apt keeps it; its name is the address with the slashes as underscores. */
  #release(): string | undefined {
    const address = `${this.#url()}/apt/dists/${suite}/InRelease`.replace(/^\w+:\/*/, '');
    const escaped = (this.#url().startsWith('file:') ? `/${address}` : address)
      .replaceAll('_', '%5f')
      .replaceAll('/', '_');
    const file = join(this.#root, 'var/lib/apt/lists', escaped);
    return existsSync(file) ? file : undefined;
  }

  #url(): string {
    return readSettings(this.#root)?.url ?? '';
  }

  #write(path: string, content: string | Uint8Array): void {
    const file = join(this.#root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeAtomically(file, content);
  }
}

function textOf(result: RunResult): string {
  return `${result.stderr}\n${result.stdout.toString()}`;
}
