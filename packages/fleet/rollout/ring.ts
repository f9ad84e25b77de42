/** Rings: which hosts receive a release together. */
import { createHash } from 'node:crypto';
import type { Window } from './window.ts';

export interface RingPlan {
  readonly name: string;
  /** Hosts with one of these labels. A host belongs to the first ring with one of its labels, whatever its place in the order. */
  readonly labels: readonly string[];
  /** Of the hosts that no label places, the part that has joined when this ring is open, from 0 to 1 and growing from ring to ring. */
  readonly share: number | undefined;
  /** How long it must run when nearly all of its hosts have the release. */
  readonly soakSeconds: number;
  /** Host-hours with the release that must pass before the next ring opens; undefined: as many as the next ring has in an hour. */
  readonly hostHours?: number;
  readonly windows: readonly Window[];
}

/**
 * The place of a host in the order of a rollout, from 0 up to 1. It is the same at each question and independent of its name, address
 * and site, so each ring is a fair sample of all sites; it differs between rollouts, so the same hosts are not always first.
 */
export function placeOf(rollout: string, host: string): number {
  return createHash('sha256').update(`${rollout}\n${host}`).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** The index of the ring of a host; undefined if no ring takes it. */
export function ringOf(
  rollout: string,
  rings: readonly Pick<RingPlan, 'labels' | 'share'>[],
  host: { readonly id: string; readonly labels: readonly string[] },
): number | undefined {
  const labelled = rings.findIndex(({ labels }) => labels.some((one) => host.labels.includes(one)));
  if (labelled !== -1) return labelled;
  const place = placeOf(rollout, host.id);
  const shared = rings.findIndex(({ share }) => share !== undefined && place < share);
  return shared === -1 ? undefined : shared;
}

/** What is wrong with a plan, in words; undefined if nothing is. */
export function planProblem(rings: readonly RingPlan[]): string | undefined {
  if (rings.length === 0) return 'a rollout needs at least one ring';
  if (rings.length > 50) return 'a rollout has at most 50 rings';
  let before = 0;
  const names = new Set<string>();
  for (const { name, labels, share } of rings) {
    if (names.has(name)) return `two rings are named ${name}`;
    names.add(name);
    if (labels.length === 0 && share === undefined) return `ring ${name} has neither labels nor a share`;
    if (share === undefined) continue;
    if (!(share > before && share <= 1)) return `the share of ring ${name} must be above ${before} and at most 1`;
    before = share;
  }
  return undefined;
}
