/** What the server tells one host: the release that it may move to, and why it may not move now. */
import { type Freeze, freezeReason, type Rollout } from './decide.ts';
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
      because: { code: 'rolled-back', text: `Ring ${ring.name} returns to the release before: ${offer.reason}` },
    };
  if (host.patch === offer.release)
    return { release: offer.release, because: { code: 'ready', text: 'The host has the release.' } };
  if (offer.state === 'draft') return stay('draft', 'Nobody has started the rollout.');
  if (offer.state === 'halted') return stay('halted', offer.reason);
  if (offer.state === 'paused') return stay('paused', offer.reason);
  const freeze = freezes.find(({ from, to }) => from <= now && (to === undefined || now < to));
  if (freeze !== undefined) return { release: undefined, because: freezeReason(freeze) };
  if (ring.state === 'waiting') return stay('moving', `Ring ${ring.name} is not open yet.`);
  if (!isOpen(ring.windows, now)) {
    const opening = nextOpening(ring.windows, now);
    const when = opening === undefined ? 'never' : `at ${time(opening)}`;
    return stay('window', `The maintenance window of ring ${ring.name} is closed; it opens ${when}.`);
  }
  return { release: offer.release, because: { code: 'ready', text: `Ring ${ring.name} is open.` } };
}
