/** What a machine remembers of its channel: `/var/lib/kpatch/channel.json`. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { readJSON } from '../../base/plain.ts';
import { storedDocument } from '../../documents/form.ts';

export interface FollowState {
  /** Seconds since 1970 of the newest publication that was ever seen. */
  readonly newest: number;
  /** The last look at the channel, ISO 8601 UTC. */
  readonly looked: string;
  /** What was wrong then; empty if nothing was. */
  readonly problem: string;
  /** Latest time that a machine with packages can be sure of, ISO 8601 UTC (see `clock.ts`). */
  readonly seen?: string | undefined;
}

function stateFile(root: string): string {
  return join(root, 'var/lib/kpatch/channel.json');
}

/** The state; a file that is missing or damaged is as if nothing had been seen. */
export function readState(root: string): FollowState {
  try {
    if (existsSync(stateFile(root))) {
      const { newest, looked, problem, seen } = storedDocument('kpatch.channel-state/1', readJSON(stateFile(root)));
      return { newest, looked, problem, seen };
    }
  } catch {
    // It is written again at the next look.
  }
  return { newest: 0, looked: '', problem: '' };
}

/** Remembers. */
export function writeState(root: string, state: FollowState): void {
  mkdirSync(dirname(stateFile(root)), { recursive: true });
  writeAtomically(stateFile(root), `${JSON.stringify({ schema: 'kpatch.channel-state/1', ...state }, null, 1)}\n`);
}
