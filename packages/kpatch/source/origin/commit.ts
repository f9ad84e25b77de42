/** A commit of a kernel repository as a patch. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { run } from '../../base/run.ts';
import { download } from './download.ts';
import { COMMIT_PATCHES, isAddress, type OriginSettings } from './settings.ts';

/** A download of one commit and its parent takes seconds; of a server that sends more, minutes. */
const FETCH_MS = 300_000;

/** What a user writes for a commit: a hash of at least seven digits. Tags and branches move, hashes do not. */
export function isCommit(name: string): boolean {
  return /^[0-9a-f]{7,40}$/.test(name);
}

/**
 * The patch of a commit, as `git format-patch` writes it. `cache` is a folder for what is fetched from a remote repository.
 * Errors: `commit-unknown`, `commit-merge`, `commit-abbreviated`, `patch-unreachable`, `tool-missing`.
 */
export async function commitPatch(hash: string, settings: OriginSettings, cache: string): Promise<Buffer> {
  const { repository, file } = settings;
  if (repository === undefined) return await download(COMMIT_PATCHES.replace('{id}', hash), file);
  const folder = isAddress(repository) ? await fetched(hash, repository, settings, cache) : repository;
  const git = (...args: string[]) =>
    run('git', ['-C', folder, ...args], { env: { LC_ALL: 'C', GIT_NO_LAZY_FETCH: '1' } });
  const parents = await git('rev-list', '--parents', '--max-count=1', hash, '--');
  const [id, ...before] = parents.stdout.toString().trim().split(' ');
  if (parents.status !== 0 || !id) {
    throw failure('commit-unknown', { commit: hash, repository, settings: file }, { detail: parents.stderr });
  }
  if (before.length > 1) throw failure('commit-merge', { commit: hash, count: before.length });
  const patch = await git(
    'format-patch',
    '--max-count=1',
    '--stdout',
    '--no-ext-diff',
    '--no-textconv',
    '--full-index',
    id,
  );
  if (patch.status !== 0)
    throw failure('commit-unknown', { commit: hash, repository, settings: file }, { detail: patch.stderr });
  return patch.stdout;
}

/** A bare repository that has the commit and its parent, fetched once. */
async function fetched(hash: string, address: string, settings: OriginSettings, cache: string): Promise<string> {
  const folder = join(cache, sha256(Buffer.from(address)).slice(0, 16));
  const git = (...args: string[]) => run('git', ['-C', folder, ...args], { timeoutMs: FETCH_MS, env: { LC_ALL: 'C' } });
  if (!existsSync(join(folder, 'HEAD'))) {
    mkdirSync(folder, { recursive: true });
    await git('init', '--quiet', '--bare');
  }
  if ((await git('cat-file', '-e', `${hash}^{commit}`)).status === 0) return folder;
  if (hash.length < 40) throw failure('commit-abbreviated', { commit: hash, repository: address });
  const { status, stderr } = await git('fetch', '--quiet', '--no-tags', '--depth=2', '--', address, hash);
  if (status === 0) return folder;
  const reason = stderr.trim().split('\n').at(-1) ?? '';
  throw failure('patch-unreachable', { address, reason, settings: settings.file }, { detail: stderr });
}
