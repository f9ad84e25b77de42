/** The data of `kpatch status`: the kernel, its patches, what the next boot loads, and what to do. */
import type { ReplacedFunction } from '../module/tables.ts';
import { type PolicyStatus, policyStatus } from './acceptance/policy-status.ts';
import { blockText, bootSet, lostText } from './boot/boot.ts';
import { type BlockedPatch, blockedAmong, type Guard, readGuard } from './boot/guard.ts';
import { manifestOfLoaded } from './fit.ts';
import { functionsOf, loadedPatches, type PatchState, stateOf } from './live/livepatches.ts';
import { readRecord } from './live/loaded-record.ts';
import type { Holdup } from './live/stall.ts';
import type { Progress } from './live/tasks.ts';
import { currentHoldups } from './live/transition.ts';
import type { Machine } from './machine/machine.ts';
import { runningKernel, signatureRequired } from './machine/running-kernel.ts';
import { shieldTodo } from './shields.ts';
import { type InstalledPatch, installedPatches, manifestOfInstalled, releasesIn } from './store/store.ts';
import { type Mismatch, verify } from './verify.ts';

export interface ActivePatch {
  readonly name: string;
  readonly state: PatchState;
  /** From the manifest. */
  readonly version: number | undefined;
  readonly cves: readonly string[];
  readonly functions: readonly ReplacedFunction[];
  /** ISO 8601; absent if another program loaded it. */
  readonly loaded: string | undefined;
}

export interface Status {
  readonly release: string;
  readonly buildId: string | undefined;
  readonly livepatch: boolean;
  readonly disabledAtBoot: boolean;
  /** Why the running kernel refuses unsigned modules; undefined if it takes them. */
  readonly signatureRequired: string | undefined;
  readonly patches: readonly ActivePatch[];
  /** CVEs fixed by the active patches, sorted. */
  readonly cves: readonly string[];
  readonly transition:
    | {
        readonly patch: string;
        readonly state: PatchState;
        readonly progress: Progress;
        readonly holdups: readonly Holdup[];
      }
    | undefined;
  /** Patches that the next boot of this kernel loads, in load order. */
  readonly boots: readonly NextBoot[];
  readonly blocked: readonly BlockedPatch[];
  /** What the boot guard observed: the boots that were lost in the last day, in words. */
  readonly observed: readonly string[];
  /** What this machine accepts, and the problems that the policy finds. */
  readonly policy: PolicyStatus;
  /** This boot is still on trial (boot guard). */
  readonly onTrial: boolean;
  readonly mismatches: readonly Mismatch[];
  /** What the administrator should do; empty if nothing needs attention. */
  readonly todo: readonly string[];
}

/** A patch that the next boot loads. */
export interface NextBoot {
  readonly name: string;
  readonly version: number | undefined;
  /** Only for an image, where it is not known which kernel boots. */
  readonly release?: string;
}

/** Reads the state of the whole machine. Never throws. */
export function statusOf(machine: Machine): Status {
  const kernel = runningKernel(machine);
  const { release, bootId } = kernel;
  const loaded = loadedPatches(machine);
  const patches = loaded.map((patch): ActivePatch => {
    const manifest = manifestOfLoaded(machine, patch.name);
    return {
      name: patch.name,
      state: stateOf(patch),
      version: manifest?.version,
      cves: manifest?.cves ?? [],
      functions: functionsOf(patch),
      loaded: readRecord(machine, patch.name)?.loaded,
    };
  });
  const running = loaded.find((patch) => patch.transition);
  const installed = release === '' ? [] : installedPatches(machine, release);
  const blocked = release === '' ? [] : blockedAmong(machine, release, installed);
  const transition =
    running === undefined
      ? undefined
      : { patch: running.name, state: stateOf(running), ...currentHoldups(machine, running.name) };
  const active = patches.filter(({ state }) => state === 'enabled');
  const status = {
    release,
    buildId: kernel.buildId,
    livepatch: kernel.livepatch,
    disabledAtBoot: kernel.disabledAtBoot,
    signatureRequired: signatureRequired(kernel),
    patches,
    cves: [...new Set(active.flatMap(({ cves }) => cves))].sort(),
    transition,
    boots: machine.offline ? bootsOfImage(machine) : bootsNext(machine, release, installed, blocked),
    blocked,
    observed: release === '' ? [] : (readGuard(machine, release).lost ?? []).map(lostText),
    policy: policyStatus(machine, release),
    onTrial: release !== '' && isTrial(readGuard(machine, release).trying, bootId),
    mismatches: verify(machine),
  };
  const now = machine.clock.date();
  const shields = active.flatMap(({ name }) => shieldTodo(name, manifestOfLoaded(machine, name), now) ?? []);
  return { ...status, todo: [...todoOf(status), ...shields] };
}

/** A boot without patches is watched and tries nothing. */
function isTrial(trying: Guard['trying'], bootId: string): boolean {
  return trying?.bootId === bootId && trying.patches.length > 0;
}

function bootsNext(
  machine: Machine,
  release: string,
  installed: readonly InstalledPatch[],
  blocked: readonly BlockedPatch[],
): Status['boots'] {
  if (installed.length === 0) return [];
  return bootSet(machine, release)
    .filter(({ name }) => !blocked.some((patch) => patch.name === name))
    .map((patch) => ({ name: patch.name, version: manifestOfInstalled(patch)?.version }));
}

/** Any kernel of an image may boot. */
function bootsOfImage(machine: Machine): Status['boots'] {
  return releasesIn(machine).flatMap((release) => {
    const installed = installedPatches(machine, release);
    const boots = bootsNext(machine, release, installed, blockedAmong(machine, release, installed));
    return boots.map((boot) => ({ ...boot, release }));
  });
}

function todoOf(status: Omit<Status, 'todo'>): string[] {
  const todo: string[] = [];
  if (status.release !== '' && !status.livepatch) {
    todo.push(`${status.release} does not support live patching: boot a kernel with CONFIG_LIVEPATCH=y`);
  }
  const { transition } = status;
  if (transition !== undefined) {
    const { patch, state } = transition;
    const round = state === 'enabling' ? `, or 'kpatch unload ${patch}' to reverse it` : '';
    todo.push(`${patch} is in transition: wait, or run 'kpatch signal'${round}`);
  }
  for (const patch of status.blocked) {
    const again = `kpatch install --again ${patch.name}`;
    todo.push(`${patch.name} is blocked: ${blockText(patch)}; to load it again, run '${again}'`);
  }
  todo.push(...status.policy.alarms);
  for (const { patch, release, problem, fix } of status.mismatches) {
    if (patch !== undefined && patch === transition?.patch) continue;
    todo.push(`${patch === undefined ? `store of ${release}` : `${patch} (${release})`}: ${problem}; do: ${fix}`);
  }
  return todo;
}
