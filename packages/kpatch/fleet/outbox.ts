/** Signed reports that wait to be sent, as files named by their counter. Everybody may read them; only root writes them. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readBytes, writeAtomically } from '../base/files.ts';
import { namesIn } from '../host/machine/attribute.ts';
import type { Place } from './paths.ts';

/** With five minutes between two reports: a day without the server. Older reports are dropped first. */
export const OUTBOX_LIMIT = 288;

/** Counters of the reports that wait, oldest first. */
export function waiting({ outbox }: Place): number[] {
  return namesIn(outbox)
    .flatMap((name) => /^(\d{1,16})\.json$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Puts a report into the outbox; returns how many older ones had to be dropped. */
export function putReport(place: Place, counter: number, sealed: string): number {
  mkdirSync(place.outbox, { recursive: true, mode: 0o755 });
  writeAtomically(fileOf(place, counter), sealed, 0o644);
  const counters = waiting(place);
  const old = counters.slice(0, Math.max(0, counters.length - OUTBOX_LIMIT));
  for (const one of old) rmSync(fileOf(place, one), { force: true });
  return old.length;
}

/** Error: `file-unreadable`. */
export function readReportFile(place: Place, counter: number): string {
  return readBytes(fileOf(place, counter)).toString('utf8');
}

/** Removes what the server has. */
export function dropUpTo(place: Place, counter: number): void {
  for (const one of waiting(place)) if (one <= counter) rmSync(fileOf(place, one), { force: true });
}

function fileOf({ outbox }: Place, counter: number): string {
  return join(outbox, `${counter}.json`);
}
