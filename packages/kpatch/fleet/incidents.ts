/** What went wrong on this machine, as incidents of a report: each has a key, so that the server counts it once. */
import { join } from 'node:path';
import { printableLine } from '../base/text/printable.ts';
import { lostText } from '../host/boot/boot.ts';
import { blockedNow, readGuard } from '../host/boot/guard.ts';
import { effectSummary, type FunctionEffect } from '../host/live/effectiveness.ts';
import { loadFailures } from '../host/live/failures.ts';
import { attribute, numberAttribute } from '../host/machine/attribute.ts';
import type { Machine } from '../host/machine/machine.ts';
import { releasesIn } from '../host/store/store.ts';
import type { FleetReport } from './place.ts';

type Incident = FleetReport['incidents'][number];

/** A transition that takes longer is slow (seconds): tasks had to be signalled, or were blocked for a minute. */
const SLOW_SECONDS = 60;
/** TAINT_DIE: the kernel survived an oops (include/linux/panic.h). */
const TAINT_DIE = 1 << 7;
/** No report has more. */
const MOST = 64;
const LONGEST_TEXT = 1000;

/** The incidents of this boot, and those boots of the last two days that were lost. Never throws. */
export function incidentsOf(
  machine: Machine,
  release: string,
  bootId: string,
  patches: FleetReport['patches'],
  effects: readonly FunctionEffect[],
): Incident[] {
  const now = machine.clock.date().toISOString();
  const active = patches.find(({ state }) => state === 'enabled')?.sha256;
  const slow = patches.filter(({ seconds = 0 }) => seconds > SLOW_SECONDS);
  const all = [
    ...lostBoots(machine, release),
    ...releasesIn(machine).flatMap((other) =>
      other === release ? [] : lostBoots(machine, other).map((one) => ({ ...one, kernel: other })),
    ),
    ...oopses(machine, bootId, now, active),
    ...loadFailures(machine).map(({ at, name, sha256, code, text }): Incident => {
      return incident('failed', `${name} ${at}`, at, sha256, `${code}: ${text}`);
    }),
    ...slow.map(({ name, sha256, seconds = 0 }): Incident => {
      return incident(
        'slow',
        `${bootId} ${name}`,
        now,
        sha256,
        `the transition of ${name} took ${seconds.toFixed(0)} s`,
      );
    }),
    ...blockedNow(machine, release).map((one): Incident => {
      return incident(
        'blocked',
        `${one.sha256} ${one.at}`,
        one.at,
        one.sha256,
        `${one.name}: ${one.why ?? 'a boot was lost'}`,
      );
    }),
  ];
  return [...all, ...shadowed(effects, bootId, now)].slice(0, MOST);
}

function incident(kind: Incident['kind'], key: string, at: string, patch: string | undefined, text: string): Incident {
  const known = patch !== undefined && /^[0-9a-f]{64}$/.test(patch) ? { patch } : {};
  return {
    kind,
    key: printableLine(key).slice(0, 255),
    at,
    ...known,
    text: printableLine(text).slice(0, LONGEST_TEXT),
  };
}

/** A change of what is shadowed is another incident, so that it raises another alert. */
function shadowed(effects: readonly FunctionEffect[], bootId: string, at: string): Incident[] {
  const found = effects.filter(({ effect }) => effect === 'shadowed');
  if (found.length === 0) return [];
  const text = found.map(({ object, name, reason }) => `${object}:${name}: ${reason}`).join('; ');
  return [incident('shadowed', `${bootId} ${effectSummary(effects).digest}`, at, undefined, text)];
}

/**
 * The lost boots of one kernel, which need not be the one that runs now. A boot that ended without an orderly shutdown counts for
 * each patch that it ran with, whether its trial was over or not.
 */
function lostBoots(machine: Machine, release: string): Incident[] {
  const { ended, lost: known = [] } = readGuard(machine, release);
  return (ended ?? known).flatMap((lost) => {
    const patches = lost.patches.length === 0 ? [undefined] : lost.patches.map(({ sha256 }) => sha256);
    return patches.map((patch) =>
      incident('crash', `${lost.bootId} ${patch ?? ''}`, lost.noticed, patch, lostText(lost)),
    );
  });
}

/** Linux 6.2 counts them; before, there is only the flag. */
function oopses({ sysfs, proc }: Machine, bootId: string, at: string, patch: string | undefined): Incident[] {
  const count = numberAttribute(join(sysfs, 'kernel/oops_count')) ?? 0;
  const tainted = Number(attribute(join(proc, 'sys/kernel/tainted')) ?? 0) & TAINT_DIE;
  if (count === 0 && tainted === 0) return [];
  const text = count === 0 ? 'the kernel has survived an oops' : `the kernel has survived ${count} oopses`;
  return [incident('oops', `${bootId} ${count}`, at, patch, text)];
}
