/** Following by dnf. The repository file lets only the packages of live patches come from the channel. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { failure } from '../../../base/errors/error.ts';
import { writeAtomically } from '../../../base/files.ts';
import { type RunResult, run } from '../../../base/run.ts';
import { rpmKeyFile } from '../../client-names.ts';
import { packageNames } from '../../package/name.ts';
import { dnfRepository } from '../../repository/index/client-package.ts';
import { readSettings } from '../settings.ts';
import type { Manager, Metadata } from './manager.ts';
import { refusal } from './refusal.ts';

const repositoryFile = 'etc/yum.repos.d/kpatch-channel.repo';
const repository = 'kpatch-channel';

export class DnfManager implements Manager {
  readonly name = 'dnf';
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  packageFor(kernel: string): string {
    return packageNames(kernel).rpm;
  }

  configure(url: string, armored: string): Promise<void> {
    this.#write(rpmKeyFile, armored);
    // With the path that the machine itself sees: in an image, calls from outside give another one.
    this.#write(repositoryFile, dnfRepository(url, 'Live patches for the Linux kernel'));
    return Promise.resolve();
  }

  files(): readonly string[] {
    return [repositoryFile, rpmKeyFile];
  }

  async refresh(): Promise<void> {
    const result = await this.#dnf('--repo', repository, '--refresh', 'makecache');
    if (result.status !== 0) throw refusal(this.#url(), textOf(result));
  }

  async discard(): Promise<void> {
    await this.#dnf('--repo', repository, 'clean', 'metadata');
  }

  metadata(): Metadata | undefined {
    const file = this.#repomd();
    if (file === undefined) return undefined;
    const text = readFileSync(file, 'utf8');
    const seconds = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
    return { published: seconds(/<revision>(\d{1,12})</), validUntil: seconds(/>valid-until=(\d{1,12})</) };
  }

  async installed(prefix: string): Promise<ReadonlyMap<string, string>> {
    const result = await run('rpm', [
      '--root',
      this.#root,
      '-qa',
      '--qf',
      '%{NAME} %{VERSION}-%{RELEASE}\\n',
      `${prefix}*`,
    ]);
    return parsePackages(result.stdout.toString());
  }

  async available(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (names.length === 0) return new Map();
    const query = ['repoquery', '--latest-limit', '1', '--qf', '%{name} %{version}-%{release}', ...names];
    const result = await this.#dnf('--repo', repository, '-C', ...query);
    return parsePackages(result.stdout.toString());
  }

  async install(names: readonly string[]): Promise<void> {
    const result = await this.#dnf('install', ...names);
    const upgraded = result.status === 0 ? await this.#dnf('upgrade', ...names) : result;
    if (upgraded.status === 0) return;
    const output = textOf(upgraded);
    const failed = refusal(this.#url(), output);
    if (failed.code !== 'channel-unreachable' || /Cannot download|Failed to download|Curl error/.test(output))
      throw failed;
    throw failure('channel-install', { names: names.join(', '), manager: 'dnf' }, { detail: output });
  }

  #dnf(...args: string[]): Promise<RunResult> {
    const image =
      this.#root === '/'
        ? []
        : [
            // What this machine's own dnf is extended with is no part of the image.
            '--disableplugin=*',
            '--installroot',
            this.#root,
            '--setopt',
            `reposdir=${join(this.#root, 'etc/yum.repos.d')}`,
            '--setopt',
            'varsdir=/nonexistent',
            '--setopt',
            `${repository}.gpgkey=file://${join(this.#root, rpmKeyFile)}`,
          ];
    const cache = ['--setopt', `cachedir=${join(this.#root, this.#cache())}`];
    return run('dnf', ['-y', `--setopt=${repository}.skip_if_unavailable=0`, ...cache, ...image, ...args], {
      env: { LC_ALL: 'C.UTF-8' },
      timeoutMs: 1_800_000,
    });
  }

  #repomd(): string | undefined {
    const cache = join(this.#root, this.#cache());
    const folders = existsSync(cache) ? readdirSync(cache).filter((name) => name.startsWith(`${repository}-`)) : [];
    return folders.map((name) => join(cache, name, 'repodata/repomd.xml')).find((file) => existsSync(file));
  }

  /**
   * A cache of this address and key alone: metadata of another address says nothing about this one, and a key that was
   * replaced must not count because dnf imported it once.
   */
  #cache(): string {
    const key = join(this.#root, rpmKeyFile);
    const known = existsSync(key) ? sha256(readFileSync(key)) : '';
    return join('var/cache/kpatch/dnf', sha256(`${this.#url()} ${known}`).slice(0, 16));
  }

  #url(): string {
    return readSettings(this.#root)?.url ?? '';
  }

  #write(path: string, content: string): void {
    const file = join(this.#root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeAtomically(file, content);
  }
}

function textOf(result: RunResult): string {
  return `${result.stderr}\n${result.stdout.toString()}`;
}

/** Packages and versions in the output of rpm or dnf, one `NAME VERSION` on a line. Other lines are messages. */
export function parsePackages(text: string): ReadonlyMap<string, string> {
  const rows = text.split('\n').filter((line) => /^\S+ \S+$/.test(line));
  return new Map(rows.map((line) => line.split(' ') as [string, string]));
}
