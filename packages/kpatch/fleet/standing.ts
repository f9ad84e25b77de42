/** What `kpatch status` shows of the fleet. It reads little and loads no definitions of documents, because every status asks it. */
import { readFileSync, statSync } from 'node:fs';
import { plural } from '../base/errors/plural.ts';
import { printableLine } from '../base/text/printable.ts';
import { waiting } from './outbox.ts';
import { placeIn } from './paths.ts';

export interface FleetStanding {
  readonly url: string;
  /** ISO 8601; empty if it cannot be read. */
  readonly joined: string;
  /** When the server answered last, ISO 8601; null if it never has. */
  readonly heard: string | null;
  /** Signed reports that the server does not have yet. */
  readonly waiting: number;
}

/** The fleet of this machine or image; undefined if it belongs to none. Never throws. */
export function fleetStanding(root = '/'): FleetStanding | undefined {
  const place = placeIn(root);
  let text: string;
  try {
    text = readFileSync(place.membership, 'utf8');
  } catch {
    return undefined;
  }
  const { url, joined } = membersOf(text);
  return { url, joined, heard: changed(place.answer), waiting: waiting(place).length };
}

/** The two members that are shown; a damaged file is shown as one without them. */
function membersOf(text: string): { url: string; joined: string } {
  try {
    const { url, joined } = JSON.parse(text) as Record<string, unknown>;
    const word = (value: unknown): string => (typeof value === 'string' ? printableLine(value).slice(0, 200) : '');
    return { url: word(url), joined: word(joined) };
  } catch {
    return { url: '', joined: '' };
  }
}

function changed(file: string): string | null {
  try {
    return new Date(statSync(file).mtimeMs).toISOString();
  } catch {
    return null;
  }
}

/** One line: which fleet, since when, when it was heard of last, and what waits. */
export function standingText({ url, joined, heard, waiting: count }: FleetStanding, now: Date): string {
  const where = url === '' ? 'membership cannot be read: kpatch fleet leave, then join again' : url;
  const since = /^\d{4}-\d\d-\d\d/.test(joined) ? `, joined ${joined.slice(0, 10)}` : '';
  const last =
    heard === null ? 'the server has not answered yet' : `last answer ${ago(now.getTime() - Date.parse(heard))}`;
  return `${where}${since}; ${last}${count === 0 ? '' : `; ${plural(count, 'report')} waiting`}`;
}

function ago(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 1) return 'just now';
  if (minutes < 120) return `${plural(minutes, 'minute')} ago`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${plural(hours, 'hour')} ago` : `${plural(Math.round(hours / 24), 'day')} ago`;
}
