/**
 * Time that cannot be set back, for both ways to follow a channel. Expiry protects from a mirror that stands still only if the
 * clock is right, so the machine remembers how late it is at least, and judges expiry by the later of the two.
 *
 * A clock that once was far ahead must not stop a channel for ever. So the remembered time never passes the moment at which
 * the verified metadata expires: the next publication, which expires later, is accepted whatever happened before.
 */
import { failure } from '../../base/errors/error.ts';
import type { Metadata } from './manager/manager.ts';
import type { FollowState } from './state.ts';

/** By so much clocks may differ. */
const CLOCKS_DIFFER_MS = 3_600_000;

/** The sentence for `kpatch channel status` if the clock is behind the time that the machine is sure of; else nothing. */
export function clockProblems(now: number, present: number): readonly string[] {
  if (now >= present - CLOCKS_DIFFER_MS) return [];
  const time = new Date(present).toISOString();
  return [`the clock is wrong: it is at least ${time}; until you set it, kpatch judges expiry by that time`];
}

/** A time in milliseconds since 1970; 0 for none. */
export function milliseconds(time: string | undefined): number {
  const value = Date.parse(time ?? '');
  return Number.isNaN(value) ? 0 : value;
}

/** The time to judge the metadata of packages by: of the clock, of what was seen before, and of the newest publication. */
export function packagesTime({ newest, seen }: FollowState, now = Date.now()): number {
  return Math.max(now, milliseconds(seen), newest * 1000);
}

/** The time to remember once metadata of packages was verified (ISO 8601 UTC): the clock's, at most until that expires. */
export function seenWith({ seen }: FollowState, metadata: Metadata | undefined, now = Date.now()): string | undefined {
  if (metadata === undefined) return seen;
  const { published, validUntil } = metadata;
  const time = Math.min(now, (validUntil === 0 ? published : validUntil) * 1000);
  return time > milliseconds(seen) ? new Date(time).toISOString() : seen;
}

/**
 * Requires that metadata which apt or dnf verified is not older than what was seen before, and is valid now. dnf accepts
 * any signed metadata, and apt goes by the clock alone. Errors: `channel-replayed`, `channel-frozen`.
 */
export function requireFresh(url: string, metadata: Metadata, state: FollowState, now = Date.now()): void {
  const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
  const { published, validUntil } = metadata;
  const { newest } = state;
  if (published < newest) throw failure('channel-replayed', { url, published: iso(published), newest: iso(newest) });
  const frozen = (problem: string): Error => failure('channel-frozen', { url, problem });
  const present = packagesTime(state, now);
  // Were it accepted, everything published until that day would count as replayed.
  if (published * 1000 > present + CLOCKS_DIFFER_MS)
    throw frozen(`its metadata has the date ${iso(published)}, which is in the future`);
  if (validUntil === 0 || validUntil * 1000 > present) return;
  const behind = validUntil * 1000 > now ? '; the clock of this machine is behind' : '';
  throw frozen(`its metadata expired on ${iso(validUntil)}${behind}`);
}
