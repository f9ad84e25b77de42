/**
 * Following by TUF. What talks to the network runs without rights in a process of its own and leaves its files in a folder;
 * this process reads the folder as if it was a foreign mirror.
 */
import { chownSync, existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { failure, KpatchError } from '../../../base/errors/error.ts';
import { readBytes, temporaryFolder } from '../../../base/files.ts';
import { object, parseJSON, text } from '../../../base/plain.ts';
import type { Reporter } from '../../../base/report.ts';
import { run } from '../../../base/run.ts';
import { requireChannel } from '../../../host/acceptance/channel-rule.ts';
import { withLock } from '../../../host/machine/host-lock.ts';
import { thisMachine } from '../../../host/machine/machine.ts';
import { sandboxUser } from '../../../sandbox/user.ts';
import { channelOf, checkDocument } from '../../tuf/document.ts';
import { metadataOf, missingSignatures } from '../../tuf/metadata.ts';
import { installedKernels } from '../kernels.ts';
import { channelAddress, keepInside, readSettings, type Settings, writeSettings } from '../settings.ts';
import { readState, writeState } from '../state.ts';
import type { Updated } from '../status.ts';
import { enableUnits, selfCommand } from '../units.ts';
import { applyChannel } from './apply.ts';
import type { Choose } from './choice.ts';
import { readClient, writeClient } from './client.ts';
import { fetchChannel } from './fetch.ts';
import { publishedAt, refresh } from './refresh.ts';
import { folderSource, type Source, sourceAt } from './source.ts';
import { hasState, startState, stateFolder } from './state.ts';

export interface TufUpdateOptions {
  /** A folder that `kpatch channel fetch` has filled; nothing is fetched then. */
  readonly fetched?: string;
  /** In a fleet: what its server chose. */
  readonly choose?: Choose;
}

/** How long an update waits for another command on this machine. */
const LOCK_WAIT_MS = 600_000;

export interface Trusted {
  readonly channel: string;
  /** SHA-256 of the file, to compare with what the owner publishes. */
  readonly digest: string;
  readonly threshold: number;
  readonly keys: readonly string[];
}

/** True if a file is JSON, as a root is; an OpenPGP key is not. Error: `file-unreadable`. */
export function isRootFile(file: string): boolean {
  return readBytes(file).subarray(0, 64).toString('latin1').trimStart().startsWith('{');
}

/**
 * Begins to follow a channel whose root the administrator trusts. Following the same channel with the same root again keeps
 * what was verified, so that it is no way to roll back.
 * Errors: `channel-url`, `channel-not-allowed`, `tuf-root-file`, those of a refresh.
 */
export async function followTuf(root: string, url: string, rootFile: string): Promise<Trusted> {
  const address = channelAddress(url);
  const machine = thisMachine(root);
  requireChannel(machine, address);
  keepInside(root);
  const bytes = readBytes(rootFile);
  const trusted = await trustedRoot(bytes, rootFile);
  const base = stateFolder(root);
  const before = readSettings(root);
  const kept = join(base, 'trusted-root.json');
  const same = hasState(base) && existsSync(kept) && readBytes(kept).equals(bytes);
  if (!same) {
    startState(base, bytes);
    // What another channel delivered is not for this one to list.
    writeClient(base, { ...readClient(base), delivered: [] });
  }
  writeSettings(root, { mode: before?.mode ?? 'manual', url: address, source: 'tuf' });
  if (before?.mode === 'auto') await enableUnits(root, 'tuf');
  await noted(root, () => refresh(base, sourceAt(address)));
  return trusted;
}

/** The root that a file holds. It must be signed by its own keys. Error: `tuf-root-file`. */
async function trustedRoot(bytes: Buffer, file: string): Promise<Trusted> {
  const wrong = (problem: string, cause?: unknown): Error => failure('tuf-root-file', { file, problem }, { cause });
  try {
    const signed = checkDocument(bytes, 'root', undefined, file);
    const root = await metadataOf('root', bytes);
    const missing = missingSignatures(root, 'root', root);
    if (missing > 0) throw wrong(`it lacks ${missing} signatures by its own keys`);
    const { threshold, keyIDs } = root.signed.roles.root!;
    return { channel: channelOf(signed), digest: sha256(bytes), threshold, keys: keyIDs };
  } catch (error) {
    if (error instanceof KpatchError && error.code === 'tuf-root-file') throw error;
    throw wrong(error instanceof Error ? error.message : String(error), error);
  }
}

/** Does something with the channel and remembers how that went. */
async function noted<T>(root: string, work: () => Promise<T>): Promise<T> {
  const looked = new Date().toISOString();
  try {
    const result = await work();
    const published = Date.parse(publishedAt(stateFolder(root)));
    writeState(root, { newest: Number.isNaN(published) ? 0 : Math.floor(published / 1000), looked, problem: '' });
    return result;
  } catch (error) {
    if (error instanceof KpatchError)
      writeState(root, { newest: readState(root).newest, looked, problem: error.message });
    throw error;
  }
}

/** The kernels that are to have the channel's patches. */
export function wantedKernels(root: string, { mode }: Settings, base: string, more: readonly string[] = []): string[] {
  const own = mode === 'auto' ? installedKernels(root) : readClient(base).subscribed;
  return [...new Set([...own, ...more])];
}

/** Fetches and installs. Errors: those of `fetchChannel` and `applyChannel`, `locked`, `not-root`. */
export async function updateTuf(
  root: string,
  settings: Settings,
  subscribe: readonly string[],
  dryRun: boolean,
  report: Reporter,
  { fetched, choose }: TufUpdateOptions,
): Promise<Updated> {
  const base = stateFolder(root);
  const machine = thisMachine(root);
  keepInside(root);
  if (subscribe.length > 0 && !dryRun) {
    const client = readClient(base);
    writeClient(base, { ...client, subscribed: [...new Set([...client.subscribed, ...subscribe])] });
  }
  const kernels = wantedKernels(root, settings, base, subscribe);
  return noted(root, () =>
    withLock(machine, report, LOCK_WAIT_MS, async () => {
      const apply = (source: Source): Promise<Updated> =>
        applyChannel(machine, base, source, { kernels, dryRun, report, choose });
      if (fetched !== undefined) return apply(folderSource(fetched, settings.url));
      return withFetched(root, settings, base, kernels, report, apply);
    }),
  );
}

/** Fetches in a process without rights, and hands over what it fetched. */
async function withFetched(
  root: string,
  { url }: Settings,
  base: string,
  kernels: readonly string[],
  report: Reporter,
  apply: (source: Source) => Promise<Updated>,
): Promise<Updated> {
  const user = sandboxUser();
  const [program = '', ...args] = selfCommand();
  // A folder is read with the same care as a folder that was fetched, and needs no network.
  if (url.startsWith('file:')) return apply(sourceAt(url));
  if (user === undefined || ![program, join(base, 'metadata')].every((path) => isReachable(path))) {
    if (user !== undefined) report.note('fetching with all rights: another user could not start this program');
    return apply(sourceAt(url));
  }
  const parent = join(root, 'run/kpatch');
  mkdirSync(parent, { recursive: true, mode: 0o755 });
  using spool = temporaryFolder('fetch-', parent);
  chownSync(spool.path, user, user);
  const drop = [
    `--reuid=${user}`,
    `--regid=${user}`,
    '--clear-groups',
    '--no-new-privs',
    '--inh-caps=-all',
    '--bounding-set=-all',
  ];
  const what = [
    'channel',
    'fetch',
    '--json',
    '--to',
    spool.path,
    ...(root === '/' ? [] : ['--root', root]),
    ...kernels,
  ];
  const result = await run('setpriv', [...drop, '--', program, ...args, ...what], { env: { NODE_OPTIONS: undefined } });
  // What it has fetched may do; what is missing is then not the fault of the channel.
  const said = result.status === 0 ? undefined : problemOfFetch(result.stdout);
  if (said !== undefined) report.warn(`fetching from ${url}: ${said}`);
  try {
    return await apply(folderSource(spool.path, url));
  } catch (error) {
    // Where the files are missing because the network failed, that is the reason to tell.
    const network = result.status === 0 ? undefined : networkProblem(result.stdout);
    if (network === undefined || !(error instanceof KpatchError) || !isMissing(error)) throw error;
    throw failure('channel-unreachable', { url, problem: network }, { cause: error });
  }
}

function isMissing({ code }: KpatchError): boolean {
  return code === 'channel-unreachable' || code === 'tuf-inconsistent' || code === 'tuf-target';
}

/** What the process that fetched says, if it could not fetch. */
function networkProblem(printed: Buffer): string | undefined {
  try {
    const error = object(object(parseJSON(printed, 'the result of the fetch')).error);
    const network = error.code === 'channel-unreachable' || error.code === 'tuf-too-large';
    return network ? text(error.what)?.replace(/^cannot read the channel \S+: /, '') : undefined;
  } catch {
    return 'the process that fetches ended without a result';
  }
}

/** What the process that fetched says. */
function problemOfFetch(printed: Buffer): string {
  try {
    return text(object(object(parseJSON(printed, 'the result of the fetch')).error).what) ?? 'it failed';
  } catch {
    return 'the process that fetches ended without a result';
  }
}

/** True if every user can reach a file or folder. */
function isReachable(path: string): boolean {
  try {
    const real = realpathSync(path);
    for (let folder = dirname(real); folder !== '/'; folder = dirname(folder)) {
      if ((statSync(folder).mode & 0o001) === 0) return false;
    }
    return (statSync(real).mode & 0o005) === 0o005;
  } catch {
    return false;
  }
}

/** `kpatch channel fetch`: fills a folder with what this machine needs, or with what the kernels named need. */
export async function fetchFor(
  root: string,
  settings: Settings,
  kernels: readonly string[],
  to: string,
  choose?: Choose,
): Promise<void> {
  const base = stateFolder(root);
  const wanted = kernels.length > 0 ? kernels : wantedKernels(root, settings, base);
  await fetchChannel(base, sourceAt(settings.url), wanted, to, choose);
}
