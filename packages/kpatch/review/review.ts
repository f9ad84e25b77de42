/** All kinds of hazards, and what they find in a change. */

import { failure } from '../base/errors/error.ts';
import type { Change } from './change.ts';
import { type Hazard, type HazardKind, kindNames } from './hazard.ts';
import { constant } from './hazards/constant.ts';
import { exported } from './hazards/exported.ts';
import { lockChange } from './hazards/lock-change.ts';
import { never } from './hazards/never-left.ts';
import { referenceChange } from './hazards/reference-change.ts';
import { registered } from './hazards/registered.ts';
import { storedValue } from './hazards/stored-value.ts';
import { together } from './hazards/together.ts';
import { uninitialised } from './hazards/uninitialised.ts';

export const kinds: readonly HazardKind[] = [
  storedValue,
  lockChange,
  referenceChange,
  registered,
  uninitialised,
  constant,
  never,
  exported,
  together,
];

/** The hazards of a change, by place. */
export function hazardsOf(change: Change): Hazard[] {
  return kinds.flatMap((kind) => kind.find(change));
}

/** Reads a list of kinds such as `lock-change,registered`; `all` is every kind. Error: `usage`. */
export function readKinds(list: string): readonly string[] {
  const names = list
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  if (names.includes('all')) return kindNames;
  const unknown = names.find((one) => !(kindNames as readonly string[]).includes(one));
  if (unknown !== undefined)
    throw failure('usage', {
      problem: `unknown kind of hazard '${unknown}': choose from all, ${kindNames.join(', ')}`,
    });
  return names;
}

/** Error: `review-denied` if a hazard is of one of the kinds. */
export function requireAllowed(hazards: readonly Hazard[], denied: readonly string[]): void {
  const found = hazards.filter(({ kind }) => denied.includes(kind));
  const [first] = found;
  if (first === undefined) return;
  const detail = found.map(hazardText).join('\n');
  const params = { count: found.length, kind: first.kind, function: first.function };
  throw failure('review-denied', params, { where: { file: first.place, function: first.function }, detail });
}

/** A hazard in three lines. */
export function hazardText({ kind, place, function: name, reason, remedy }: Hazard): string {
  return `${kind}: ${name} (${place})\n  ${reason}\n  do: ${remedy}`;
}
