/** What the commands of a publisher share. */
import { failure } from '../../base/errors/error.ts';
import { lock } from '../../base/process/lock.ts';
import { sourceDateEpoch } from '../../base/workspace.ts';
import { layout } from '../../channel/repository/config.ts';

/** The current time, or SOURCE_DATE_EPOCH if it is set, so that a publication is reproducible. */
export function now(): Date {
  const given = sourceDateEpoch();
  return given === undefined ? new Date() : new Date(given * 1000);
}

/** A whole number of an option. Error: `usage`. */
export function whole(value: string | undefined, otherwise: number, option: string): number {
  if (value === undefined) return otherwise;
  const count = Number(value);
  if (!/^\d+$/.test(value) || count > 1_000_000)
    throw failure('usage', { problem: `${option} needs an integer, not '${value}'` });
  return count;
}

/** Holds the lock of a channel. Error: `locked`. */
export function held(folder: string): ReturnType<typeof lock> {
  return lock(layout(folder).lock, `the channel ${folder}`, { waitMs: 60_000 });
}
