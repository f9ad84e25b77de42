/** Following a channel by the packages of apt or dnf. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runningRelease } from '../../advisory/kernel.ts';
import { KpatchError } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import { requireChannel } from '../../host/acceptance/channel-rule.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { clientPackage } from '../client-names.ts';
import { settingsFile } from '../package/livepatch.ts';
import { type LivePatchRecord, versionText } from '../package/record.ts';
import { clockProblems, packagesTime, requireFresh, seenWith } from './clock.ts';
import { installedKernels } from './kernels.ts';
import { managerOf } from './manager/detect.ts';
import { readPublicKeys } from './manager/key.ts';
import type { Manager } from './manager/manager.ts';
import { channelAddress, needSettings, readSettings, type Settings, writeSettings } from './settings.ts';
import { readState, writeState } from './state.ts';
import type { ChannelStatus, KernelState, Updated } from './status.ts';
import { supportOf } from './support.ts';
import { enableUnits, timerProblems, timerRuns } from './units.ts';
import { settleUnpacked, unpacked } from './unpacked.ts';

/**
 * Begins to follow a channel: its address and key, whose fingerprints it gives. Nothing is subscribed yet. Errors:
 * `channel-url`, `channel-key-file`, and those of a refresh.
 */
export async function followPackages(root: string, url: string, keyFile: string): Promise<readonly string[]> {
  const address = channelAddress(url);
  requireChannel(thisMachine(root), address);
  const { armored, binary, fingerprints } = readPublicKeys(keyFile);
  const manager = managerOf(root);
  const before = readSettings(root);
  const undo = keepFiles(root, [settingsFile, ...manager.files()]);
  try {
    await manager.configure(address, armored, binary);
    writeSettings(root, { mode: before?.mode ?? 'manual', url: address, source: 'packages' });
    if (before !== undefined && before.url !== address) writeState(root, { newest: 0, looked: '', problem: '' });
    await look(root, manager);
  } catch (error) {
    // A source that does not hold must not stay behind.
    undo();
    throw error;
  }
  if (before?.mode === 'auto') await enableUnits(root, 'packages');
  return fingerprints;
}

/** Remembers files; the result puts them back as they were. */
function keepFiles(root: string, paths: readonly string[]): () => void {
  const kept = paths
    .map((path) => join(root, path))
    .map((file) => ({ file, bytes: existsSync(file) ? readBytes(file) : undefined }));
  return () => {
    for (const { file, bytes } of kept) {
      if (bytes === undefined) rmSync(file, { force: true });
      else writeAtomically(file, bytes);
    }
  };
}

/** Fetches the channel's metadata and remembers how that went. */
async function look(root: string, manager: Manager): Promise<void> {
  const looked = new Date().toISOString();
  const state = readState(root);
  const { newest } = state;
  const { url } = needSettings(root);
  try {
    await manager.refresh();
    const metadata = manager.metadata() ?? { published: 0, validUntil: 0 };
    requireFresh(url, metadata, state);
    writeState(root, { newest: metadata.published, looked, problem: '', seen: seenWith(state, metadata) });
  } catch (error) {
    if (error instanceof KpatchError) {
      // Metadata that was judged expired once stays so, whatever the clock says later.
      writeState(root, { newest, looked, problem: error.message, seen: seenWith(state, manager.metadata()) });
      if (error.code === 'channel-replayed') await manager.discard();
    }
    throw error;
  }
}

/**
 * Brings every subscribed kernel to the newest live patch; in mode `auto`, or for the kernels named, subscribes first.
 * Errors: `channel-not-followed`, those of `refresh`, `channel-install`; the machine then keeps what it has.
 */
export async function updatePackages(
  root: string,
  settings: Settings,
  subscribe: readonly string[],
  dryRun: boolean,
  report: Reporter,
): Promise<Updated> {
  const manager = managerOf(root);
  await look(root, manager);
  const kernels = installedKernels(root);
  const wanted = settings.mode === 'auto' ? [...new Set([...kernels, ...subscribe])] : subscribe;
  const before = await manager.installed('kpatch-');
  const names = wanted.map((kernel) => manager.packageFor(kernel));
  const subscribed = [...before.keys()].filter((name) => name.startsWith('kpatch-patch-'));
  const asked = [...new Set([clientPackage, ...subscribed, ...names])];
  const offered = await manager.available(asked);
  const unknown = wanted.filter((kernel) => !offered.has(manager.packageFor(kernel)));
  const changing = asked.filter((name) => offered.has(name) && before.get(name) !== offered.get(name));
  if (changing.length > 0 && !dryRun) await manager.install(changing);
  const after = dryRun ? offered : await manager.installed('kpatch-');
  const changes = changing.map((name) => ({ package: name, from: before.get(name) ?? '', to: after.get(name) ?? '' }));
  const { waiting } = dryRun ? { waiting: [] } : await settleUnpacked(root, report);
  return { changes: changes.filter(({ from, to }) => from !== to && to !== ''), unknown, waiting };
}

/** How far this machine has got with its channel. Nothing is fetched. */
export async function packagesStatus(root: string, settings: Settings, now: Date): Promise<ChannelStatus> {
  const manager = managerOf(root);
  const metadata = manager.metadata();
  const state = readState(root);
  const records = new Map(unpacked(root).map(({ record }) => [record.kernel, record]));
  // A subscription outlives the image of its kernel.
  const kernels = [...new Set([...installedKernels(root), ...records.keys()])];
  const installed = await manager.installed('kpatch-patch-');
  const offered = await manager.available(kernels.map((kernel) => manager.packageFor(kernel)));
  const running = root === '/' ? runningRelease() : '';
  const states = kernels.map((release): KernelState => {
    const name = manager.packageFor(release);
    const record = records.get(release);
    return {
      release,
      running: release === running,
      package: name,
      installed: installed.get(name) ?? '',
      available: offered.get(name) ?? '',
      loaded: release === running && record !== undefined && isLoaded(record) ? versionText(record) : '',
      support: supportOf(release, root, now),
    };
  });
  const iso = (seconds: number): string => (seconds === 0 ? '' : new Date(seconds * 1000).toISOString());
  const { url, mode } = settings;
  const present = metadata === undefined ? now.getTime() : packagesTime(state, now.getTime());
  const known = { url, mode, manager: manager.name, timer: timerRuns(root), looked: state.looked };
  const dates = { published: iso(metadata?.published ?? 0), validUntil: iso(metadata?.validUntil ?? 0) };
  return {
    ...known,
    ...dates,
    kernels: states,
    problems: [
      ...problemsOf(states, state.problem, dates.validUntil, records, present),
      ...clockProblems(now.getTime(), present),
      ...timerProblems(mode, known.timer),
    ],
  };
}

function isLoaded(record: LivePatchRecord): boolean {
  try {
    return readFileSync(join('/sys/kernel/livepatch', record.module?.name ?? '', 'enabled'), 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

function problemsOf(
  kernels: readonly KernelState[],
  last: string,
  validUntil: string,
  records: ReadonlyMap<string, LivePatchRecord>,
  present: number,
): string[] {
  const problems: string[] = [];
  if (last !== '') problems.push(`the last check of the channel failed: ${last}`);
  if (validUntil !== '' && Date.parse(validUntil) <= present) {
    problems.push(
      `the last publication seen expired on ${validUntil}: the mirror is outdated, or this machine cannot reach it`,
    );
  }
  for (const kernel of kernels) {
    const { release, running, support } = kernel;
    if (running && support?.state === 'ended')
      problems.push(`${release} has received no live patches since ${support.until}`);
    if (kernel.available !== '' && kernel.installed === '') problems.push(`${release} is not subscribed`);
    else if (kernel.available !== '' && kernel.installed !== kernel.available)
      problems.push(`${release} has ${kernel.installed}, but ${kernel.available} is available`);
    const record = records.get(release);
    if (running && record !== undefined && record.module !== null && kernel.loaded === '') {
      problems.push(`the live patch ${versionText(record)} of the running kernel is installed but not loaded`);
    }
  }
  return problems;
}
