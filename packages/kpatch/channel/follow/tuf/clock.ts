/** Time that cannot be set back (see `../clock.ts`), for a machine that follows by TUF. */
import { object, text } from '../../../base/plain.ts';
import { ownMember, roles } from '../../tuf/document.ts';
import { milliseconds } from '../clock.ts';
import { readClient, writeClient } from './client.ts';
import { signedIn, signedOf } from './state.ts';

/** What this machine has seen of time: milliseconds since 1970, 0 if nothing. */
export function seenTime(base: string): number {
  return milliseconds(readClient(base).seen);
}

/** The time to judge expiry by: of the clock, of what was seen before, and of the timestamp that was verified last. */
export function presentTime(folder: string, seen: number, now = Date.now()): number {
  return Math.max(now, seen, milliseconds(text(object(signedIn(folder, 'timestamp')?.[ownMember]).published)));
}

/**
 * Remembers the time of the clock, at most up to the moment at which the verified metadata expires. Metadata that was judged
 * expired once stays so, whatever the clock says later. Errors: `disk-full`, `file-unwritable`, `tuf-state`.
 */
export function rememberTime(base: string, now = Date.now()): void {
  const expiry = milliseconds(expiryOf(base));
  const time = Math.min(now, expiry);
  if (time <= seenTime(base)) return;
  writeClient(base, { ...readClient(base), seen: new Date(time).toISOString() });
}

/** When the first of the verified metadata expires, ISO 8601; empty before the first refresh. Error: `tuf-state`. */
export function expiryOf(base: string): string {
  const times = roles.map((role) => signedOf(base, role)?.expires);
  return times.every((time) => typeof time === 'string') ? ([...times].sort()[0] as string) : '';
}

/** The first role in a folder of metadata that has expired at a time. Error: `tuf-state`. */
export function expiredRole(folder: string, time: number): string | undefined {
  return roles.find((role) => {
    const expires = signedIn(folder, role)?.expires;
    return typeof expires === 'string' && Date.parse(expires) <= time;
  });
}
