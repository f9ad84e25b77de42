/**
 * Brings the verified metadata of a channel up to date by the client workflow of the TUF specification (section 5), with
 * tuf-js. Whatever fails, what was verified before stays; a newer root counts even if the rest fails, so that a revoked key
 * is useless from then on.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { failure, KpatchError } from '../../../base/errors/error.ts';
import { list, object, type Plain, text } from '../../../base/plain.ts';
import { channelOf, checkDocument, metadataLimits, ownMember, type Role, roles } from '../../tuf/document.ts';
import { expiredRole, presentTime, rememberTime, seenTime } from './clock.ts';
import type { Source } from './source.ts';
import { commitState, copyState, signedIn, signedOf } from './state.ts';

/** tuf-js builds addresses; only what follows this one counts. */
const BASE = 'https://channel.invalid/tuf';

/** Called with each metadata file as it was sent, before it is verified. */
export type Recorder = (path: string, bytes: Buffer) => void;

/**
 * Refreshes the state in `base` from a source. Errors: `tuf-*`, `channel-frozen`, `channel-unreachable`, `disk-full`, `file-unwritable`.
 */
export async function refresh(base: string, source: Source, record?: Recorder): Promise<void> {
  const channel = followedChannel(base);
  using copy = copyState(base);
  try {
    await refreshFolder(copy.path, channel, source, seenTime(base), record);
  } catch (error) {
    // What was verified before the failure counts (specification, 5.3.8 and 5.4.5), unless it could not be written.
    if (error instanceof KpatchError && error.code !== 'disk-full' && error.code !== 'file-unwritable') {
      commitState(base, copy.path);
      rememberTime(base);
    }
    throw error;
  }
  commitState(base, copy.path);
  rememberTime(base);
}

/** The channel that the verified root names. Error: `tuf-state`. */
export function followedChannel(base: string): string {
  const root = signedOf(base, 'root');
  const channel = root === undefined ? '' : channelOf(root);
  if (channel === '')
    throw failure('tuf-state', { problem: `${join(base, 'metadata/root.json')} is missing or damaged` });
  return channel;
}

/** Refreshes the metadata in a folder; `seen` is the time of `seenTime`. Errors as `refresh`. */
export async function refreshFolder(
  folder: string,
  channel: string,
  source: Source,
  seen: number,
  record?: Recorder,
): Promise<void> {
  const keysBefore = onlineKeys(folder);
  try {
    await runWorkflow(folder, channel, source, record);
  } catch (error) {
    // Fast-forward recovery (specification, 5.3.11): a root with other keys for timestamp or snapshot clears what the old
    // keys signed, so that a leaked key with an enormous version number does not stop the channel for ever.
    const rotated = !isDeepStrictEqual(keysBefore, onlineKeys(folder));
    if (!rotated || !(error instanceof KpatchError) || error.code !== 'tuf-rollback') throw error;
    for (const role of ['timestamp', 'snapshot']) rmSync(join(folder, `${role}.json`), { force: true });
    await runWorkflow(folder, channel, source, record);
  }
  // The library judges by the clock alone.
  const expired = expiredRole(folder, presentTime(folder, seen));
  if (expired !== undefined) {
    const problem = `its ${expired} metadata has expired; the clock of this machine is behind`;
    throw failure('channel-frozen', { url: source.url, problem });
  }
}

/** Names of the keys of timestamp and snapshot in the root of a folder. */
function onlineKeys(folder: string): unknown {
  const named = object(signedIn(folder, 'root')?.roles);
  return ['timestamp', 'snapshot'].map((role) => [...list(object(named[role]).keyids)].sort());
}

async function runWorkflow(folder: string, channel: string, source: Source, record?: Recorder): Promise<void> {
  const { Updater } = await import('tuf-js');
  const fetcher = await checkedFetcher(channel, source, record);
  try {
    const updater = new Updater({
      metadataDir: folder,
      metadataBaseUrl: BASE,
      fetcher,
      config: {
        rootMaxLength: metadataLimits.root,
        timestampMaxLength: metadataLimits.timestamp,
        snapshotMaxLength: metadataLimits.snapshot,
        targetsMaxLength: metadataLimits.targets,
        fetchRetry: 0,
      },
    });
    await updater.refresh();
  } catch (error) {
    throw fetcher.problem() ?? refusalOf(error, source.url, fetcher.missing());
  }
}

/** Fetches for tuf-js: limits the size, and checks the form of each file before the library parses it. */
async function checkedFetcher(channel: string, source: Source, record?: Recorder) {
  const { DownloadHTTPError } = await import('tuf-js/dist/error.js');
  let problem: KpatchError | undefined;
  let missing = '';
  const read = async (url: string, limit: number): Promise<Buffer> => {
    const path = url.slice(BASE.length + 1);
    const role = roleOf(path);
    const most = role === undefined ? limit : Math.min(limit, metadataLimits[role]);
    try {
      const bytes = await source.read(`tuf/${path}`, most);
      if (bytes === undefined || role === undefined) {
        if (role !== 'root') missing = path;
        throw new DownloadHTTPError('not found', 404);
      }
      record?.(`tuf/${path}`, bytes);
      checkDocument(bytes, role, channel, path);
      return bytes;
    } catch (error) {
      if (error instanceof KpatchError) problem ??= error;
      throw error;
    }
  };
  return {
    downloadBytes: read,
    downloadFile: () => Promise.reject(new Error('targets are read by kpatch itself')),
    problem: () => problem,
    missing: () => missing,
  };
}

function roleOf(path: string): Role | undefined {
  const name = /^(?:\d+\.)?(\w+)\.json$/.exec(path)?.[1];
  return roles.find((role) => role === name);
}

/** Turns what the library says into an error of the catalogue. The library is pinned, and each message has a test. */
function refusalOf(error: unknown, url: string, missing: string): KpatchError {
  if (error instanceof KpatchError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const expired = /(root|timestamp|snapshot|targets)\.json is expired/.exec(message)?.[1];
  if (expired !== undefined) return failure('channel-frozen', { url, problem: `its ${expired} metadata has expired` });
  const signed = /(\w+) was signed by (\d+)\/(\d+) keys/.exec(message);
  if (signed !== null) {
    const [, role = '', have = '', threshold = ''] = signed;
    const problem = `${role} has ${have} of ${threshold} signatures by keys that count`;
    return failure('tuf-signature', { url, problem });
  }
  if (/Failed to persist/.test(message))
    return failure('file-unwritable', { file: 'the verified metadata', reason: plain(message) });
  if (missing === 'timestamp.json')
    return failure('channel-unreachable', { url, problem: 'it has no tuf/timestamp.json' });
  if (missing !== '') return failure('tuf-inconsistent', { url, problem: `tuf/${missing} is missing` });
  if (/less than current version|Expected version/.test(message))
    return failure('tuf-rollback', { url, problem: plain(message) });
  if (/Expected (?:length|hash)|doesn't match timestamp|does not match snapshot|Missing .* in/.test(message))
    return failure('tuf-inconsistent', { url, problem: plain(message) });
  return failure('tuf-malformed', { file: url, problem: plain(message) }, { cause: error });
}

function plain(message: string): string {
  const text = message.replace(/^Unable to load \w+ (?:metadata )?error (?:\w*Error: )?/, '');
  return text.slice(0, 200);
}

/** The verified targets. Error: `tuf-state`. */
export function verifiedTargets(base: string): Plain {
  const targets = signedOf(base, 'targets');
  if (targets === undefined) throw failure('tuf-state', { problem: 'it has no targets metadata' });
  return targets;
}

/** When the verified timestamp was published, ISO 8601; empty before the first refresh. */
export function publishedAt(base: string): string {
  return text(object(signedOf(base, 'timestamp')?.[ownMember]).published) ?? '';
}
