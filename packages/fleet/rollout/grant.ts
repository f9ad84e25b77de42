/** What the server tells one host: the release that it may move to, and why it may not move now. */
import { type Freeze, freezeFor, freezeReason, type Rollout } from './decide.ts';
import { type Reason, time } from './reason.ts';
import { ringOf } from './ring.ts';
import { isOpen, nextOpening } from './window.ts';

export interface Grant {
  /** The digest of a release; '' means no live patch; undefined: the host stays as it is. */
  readonly release: string | undefined;
  readonly because: Reason;
}

/** A rollout with the digests of the release and of the one before it ('' if there was none). */
export interface Offer extends Rollout {
  readonly release: string;
  readonly previous: string;
}

const stay = (code: Reason['code'], text: string): Grant => ({ release: undefined, because: { code, text } });

/**
 * The answer for a host that runs the kernel of the rollout. A rollback is carried out at once, also while rollouts are frozen or a window
 * is closed, because it leads away from what may harm. Nothing else moves then.
 */
export function grant(
  offer: Offer,
  host: { readonly id: string; readonly labels: readonly string[]; readonly patch: string },
  freezes: readonly Freeze[],
  now: number,
): Grant {
  const at = ringOf(offer.id, offer.rings, host);
  if (at === undefined) return stay('empty', 'No ring of the rollout has this host.');
  const ring = offer.rings[at]!;
  if (ring.state === 'rolled back' || offer.state === 'rolled back')
    return {
      release: offer.previous,
      because: { code: 'rolled-back', text: rolledBackText(ring.name, offer) },
    };
  if (hasRelease(host, offer.release))
    return { release: offer.release, because: { code: 'ready', text: 'The host has the release.' } };
  if (offer.state === 'draft') return stay('draft', 'Nobody has started the rollout.');
  if (offer.state === 'halted') return stay('halted', offer.reason);
  if (offer.state === 'paused') return stay('paused', offer.reason);
  const freeze = freezeFor(freezes, host.labels, now);
  if (freeze !== undefined) return { release: undefined, because: freezeReason(freeze) };
  if (ring.state === 'waiting') return stay('moving', `Ring ${ring.name} is not open yet.`);
  if (!isOpen(ring.windows, now)) {
    const opening = nextOpening(ring.windows, now);
    const when = opening === undefined ? 'never' : `at ${time(opening)}`;
    return stay('window', `The maintenance window of ring ${ring.name} is closed; it opens ${when}.`);
  }
  return { release: offer.release, because: { code: 'ready', text: `Ring ${ring.name} is open.` } };
}

/** A server cannot unload a patch, so without a release before it a person has to. */
function rolledBackText(ring: string, { previous, reason }: Offer): string {
  if (previous !== '') return `Ring ${ring} returns to the release before: ${reason}`;
  return `Ring ${ring} was rolled back, but its rollout names no release before: hosts keep the patch until it is unloaded on them. ${reason}`;
}

/** True if a release is among the enabled patches of a host; another program may have loaded a second one. */
export function hasRelease({ patch }: { readonly patch: string }, release: string): boolean {
  return patch.split(' ').includes(release);
}

type GrantOf<O> = Grant & { readonly rollout: O };

/**
 * The answer of all rollouts for the kernel of a host, newest first and without drafts; undefined if there are none. Where the newest does not
 * let the host move, it gets the newest earlier release whose rollout finished, unless a later rollout has the same release. A host never
 * goes back to an older release that way.
 */
export function grantAmong<O extends Offer>(
  offers: readonly O[],
  host: Parameters<typeof grant>[1],
  freezes: readonly Freeze[],
  now: number,
): GrantOf<O> | undefined {
  const [newest, ...older] = offers;
  if (newest === undefined) return undefined;
  const first = { ...grant(newest, host, freezes, now), rollout: newest };
  if (first.release !== undefined && (first.release !== '' || host.patch !== '')) return first;
  const decided = new Set([newest.release]);
  for (const [at, rollout] of older.entries()) {
    const isLater = decided.has(rollout.release);
    decided.add(rollout.release);
    const has = hasRelease(host, rollout.release);
    if (isLater || !(has || rollout.state === 'finished')) continue;
    const found = grant(rollout, host, freezes, now);
    // It was rolled back, or it halted and the host keeps it.
    if (has && found.release !== rollout.release) return { ...found, rollout };
    if (has) return { ...first, release: rollout.release };
    if (found.release !== rollout.release) continue;
    const before = ['', rollout.previous, ...older.slice(at + 1).map(({ release }) => release)];
    if (!before.includes(host.patch)) return first;
    const text = `It may have the release of the rollout before. Rollout ${newest.id}: ${first.because.text}`;
    return { ...found, because: { code: 'ready', text }, rollout };
  }
  return first;
}
