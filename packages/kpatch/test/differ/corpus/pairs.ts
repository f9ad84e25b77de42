/** Which case is compiled for which target. */
import type { Case } from './case.ts';
import { codeCases } from './code-cases.ts';
import { dataCases } from './data-cases.ts';
import { habitCases } from './habit-cases.ts';
import { lineCases } from './line-cases.ts';
import { macroCases } from './macro-cases.ts';
import { oldCases } from './old-cases.ts';
import { quietCases } from './quiet-cases.ts';
import { siteCases } from './site-cases.ts';
import { tableCases } from './table-cases.ts';
import { type Target, targets } from './targets.ts';

export const cases: readonly Case[] = [
  ...codeCases,
  ...dataCases,
  ...lineCases,
  ...tableCases,
  ...macroCases,
  ...siteCases,
  ...habitCases,
  ...oldCases,
  ...quietCases,
];

/** One target of each architecture gets every case that is about it; each of the others gets every fourth. */
const main = new Set([1, 4, 6, 7, 10].map((index) => targets[index]!));

export interface CasePair {
  readonly one: Case;
  readonly target: Target;
}

/** `everything`: the long form, which compiles every case for every target. */
export function pairsOf(everything: boolean): readonly CasePair[] {
  return cases.flatMap((one, number) => {
    const fitting = targets.filter((target) => one.on?.(target) ?? true);
    const chosen = fitting.filter(
      (target) => everything || main.has(target) || (number + targets.indexOf(target)) % 4 === 0,
    );
    // A case that is not about the main target of an architecture is compiled for another of it.
    for (const target of fitting) if (!chosen.some(({ arch }) => arch === target.arch)) chosen.push(target);
    return chosen.map((target) => ({ one, target }));
  });
}
