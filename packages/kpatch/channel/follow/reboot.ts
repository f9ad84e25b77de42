/**
 * Is a reboot due? Adds to what the host knows (host/reboot.ts) whether its channel still makes live patches for the running kernel.
 * needrestart and `/run/reboot-required` follow this answer.
 */
import type { Machine } from '../../host/machine/machine.ts';
import { rebootDue } from '../../host/reboot.ts';
import { type Status, statusOf } from '../../host/status.ts';
import { readState } from './state.ts';
import { supportOf, supportText } from './support.ts';

export interface Reboot {
  /** `unknown` wherever it is not certain that live patches keep the kernel fixed: then other programs decide as without kpatch. */
  readonly answer: 'due' | 'not due' | 'unknown';
  /** A sentence. */
  readonly reason: string;
}

/** A channel that was looked at last this long ago says nothing about today (milliseconds). */
const OLD_MS = 7 * 86_400_000;

/** The answer for the running kernel. Never throws. */
export function rebootOf(
  machine: Machine,
  status: Status = statusOf(machine),
  root = '/',
  now = machine.clock.date(),
): Reboot {
  const unknown = (reason: string): Reboot => ({ answer: 'unknown', reason });
  const { release, patches, todo } = status;
  if (release === '' || machine.offline) return unknown('No kernel of this machine is running.');
  const due = rebootDue(machine, status);
  if (due !== undefined) return { answer: 'due', reason: due };
  const support = supportOf(release, root, now);
  if (support?.state === 'ended') {
    const reason = `${release} receives ${supportText(support)}.`;
    return support.rebootInto === null ? unknown(reason) : { answer: 'due', reason };
  }
  if (!patches.some(({ state }) => state === 'enabled')) return unknown(`No live patch of ${release} is active.`);
  if (todo.length > 0) return unknown(`Something needs attention: ${todo[0]}`);
  if (support === undefined) return unknown(`No channel says until when ${release} receives live patches.`);
  const { looked, problem } = readState(root);
  if (problem !== '') return unknown(`The last check of the channel failed: ${problem}`);
  if (now.getTime() - Date.parse(looked) > OLD_MS) return unknown(`The channel was checked last on ${looked}.`);
  return { answer: 'not due', reason: `Live patches are active; ${release} receives them until ${support.until}.` };
}
