/** The plans: which checks, in which order, in which boots of the kernel. */
import { fail } from '../errors/error.ts';
import type { Check, GuestCheck, Plan, StaticCheck } from './check.ts';
import { reached, testAfter, testBefore, testWith } from './checks/author-test.ts';
import { boots } from './checks/boots.ts';
import { fits } from './checks/fits.ts';
import { loads, transition } from './checks/loads.ts';
import { logClean } from './checks/log-clean.ts';
import { redirected } from './checks/redirected.ts';
import { unloads } from './checks/unloads.ts';

/** From nothing loaded to nothing loaded: what every boot goes through. */
const oneRound: readonly GuestCheck[] = [
  boots,
  testBefore,
  loads,
  transition,
  redirected,
  testWith,
  reached,
  unloads,
  testAfter,
  logClean,
];

const statics: readonly StaticCheck[] = [fits];

/** One boot, some 15 s in software emulation. */
export const quickPlan: Plan = {
  name: 'quick',
  statics,
  boots: [{ id: 'stock', title: 'the stock kernel', kernelArguments: [], memoryMiB: 512, cpus: 2, checks: oneRound }],
};

export function allChecks(plan: Plan): readonly Check[] {
  return [...plan.statics, ...plan.boots.flatMap(({ checks }) => checks)];
}

/** The plan with the user's checks, run in each boot right after the author's test with the patch loaded. */
export function withUserChecks(plan: Plan, checks: readonly GuestCheck[]): Plan {
  if (checks.length === 0) return plan;
  const boots = plan.boots.map((boot) => {
    const at = boot.checks.indexOf(unloads);
    return { ...boot, checks: boot.checks.toSpliced(at < 0 ? boot.checks.length : at, 0, ...checks) };
  });
  return { ...plan, boots };
}

/** Checks that others build on; they stay in every plan. */
const always: readonly Check[] = [fits, boots, loads, transition, redirected, unloads];

/** The plan with only the checks named (and those they build on). Error: `prove-unknown-check`. */
export function onlyChecks(plan: Plan, names: readonly string[]): Plan {
  if (names.length === 0) return plan;
  const known = [...new Set(allChecks(plan).map(({ id }) => id))];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw fail('prove-unknown-check', { check: unknown, known: known.join(', ') });
  const keep = (check: Check): boolean => names.includes(check.id) || always.includes(check);
  const chosen = plan.boots.filter((boot, at) => at === 0 || boot.checks.some(({ id }) => names.includes(id)));
  return {
    name: `${plan.name}, only ${names.join(', ')}`,
    statics: plan.statics.filter(keep),
    boots: chosen.map((boot) => ({ ...boot, checks: boot.checks.filter(keep) })),
  };
}

export const plans = { quick: quickPlan, full: quickPlan } as const;
