/** How far a machine has got that follows a channel by TUF. Nothing is fetched. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runningRelease } from '../../../advisory/kernel.ts';
import { KpatchError } from '../../../base/errors/error.ts';
import { type Machine, thisMachine } from '../../../host/machine/machine.ts';
import { recordOf } from '../../../host/store/store.ts';
import { type ListedPatch, listedPatches, targetFiles } from '../../tuf/target.ts';
import { clockProblems } from '../clock.ts';
import { installedKernels } from '../kernels.ts';
import type { Settings } from '../settings.ts';
import { readState } from '../state.ts';
import type { ChannelStatus, KernelState } from '../status.ts';
import { supportOf } from '../support.ts';
import { timerProblems, timerRuns } from '../units.ts';
import { installedVersion } from './apply.ts';
import { readClient } from './client.ts';
import { expiryOf, presentTime, seenTime } from './clock.ts';
import { wantedKernels } from './follow.ts';
import { publishedAt, verifiedTargets } from './refresh.ts';
import { hasState, signedOf, stateFolder } from './state.ts';

/** The state of a machine that follows by TUF. */
export function tufStatus(root: string, settings: Settings, now: Date): Promise<ChannelStatus> {
  const base = stateFolder(root);
  const machine = thisMachine(root);
  const { looked, problem } = readState(root);
  const problems = problem === '' ? [] : [`the last check of the channel failed: ${problem}`];
  let listed: ReadonlyMap<string, readonly ListedPatch[]> = new Map();
  let validUntil = '';
  let present = now.getTime();
  try {
    if (hasState(base) && signedOf(base, 'targets') !== undefined) {
      listed = listedPatches(verifiedTargets(base));
      validUntil = expiryOf(base);
      present = presentTime(join(base, 'metadata'), seenTime(base), now.getTime());
      problems.push(...foreignPatches(base, machine));
    }
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    problems.push(error.message);
  }
  if (validUntil !== '' && Date.parse(validUntil) <= present) {
    problems.push(
      `the metadata of the channel expired on ${validUntil}: nothing new is accepted; installed patches stay`,
    );
  }
  problems.push(...clockProblems(now.getTime(), present));
  const running = root === '/' ? runningRelease() : '';
  const wanted = new Set(wantedKernels(root, settings, base));
  // A subscription outlives the image of its kernel.
  const all = [...new Set([...installedKernels(root), ...wanted])];
  const kernels = all.map((release): KernelState => {
    const newest = listed.get(release)?.[0];
    const installed = installedVersion(base, machine, release);
    const available = newest === undefined ? '' : `${newest.version}-${newest.packageRelease}`;
    const support = supportOf(release, root, now);
    const loaded = release === running && installed !== '' && isLoaded(base, release) ? installed : '';
    if (release === running && support?.state === 'ended')
      problems.push(`${release} has received no live patches since ${support.until}`);
    if (available !== '' && !wanted.has(release)) problems.push(`${release} is not subscribed`);
    else if (available !== '' && installed !== available)
      problems.push(`${release} has ${installed === '' ? 'no patch' : installed}, but ${available} is available`);
    if (release === running && installed !== '' && loaded === '')
      problems.push(`the live patch ${installed} of the running kernel is installed but not loaded`);
    return { release, running: release === running, package: release, installed, available, loaded, support };
  });
  const { url, mode } = settings;
  const timer = timerRuns(root);
  problems.push(...timerProblems(mode, timer));
  const times = { published: publishedAt(base), validUntil, looked };
  return Promise.resolve({ url, mode, manager: 'tuf', timer, ...times, kernels, problems });
}

/** Installed modules that the channel delivered and lists no more: somebody may have had a key of the channel. */
function foreignPatches(base: string, machine: Machine): string[] {
  const known = new Set([...targetFiles(verifiedTargets(base)).values()].map(({ sha256 }) => sha256));
  return readClient(base)
    .delivered.filter(({ release, sha256 }) => !known.has(sha256) && recordOf(machine, release, sha256) !== undefined)
    .map(({ name, release }) => `${name} (${release}) came from the channel, which does not list it any more`);
}

function isLoaded(base: string, release: string): boolean {
  const name = readClient(base).delivered.findLast((one) => one.release === release)?.name ?? '';
  try {
    return readFileSync(join('/sys/kernel/livepatch', name, 'enabled'), 'utf8').trim() === '1';
  } catch {
    return false;
  }
}
