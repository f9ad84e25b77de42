/** The plans: which checks run in which order in which boots of the kernel. */
import { failure } from '../base/errors/error.ts';
import { reached, testAfter, testBefore, testWith } from './checks/author-test.ts';
import { applied, installs } from './checks/boot-path.ts';
import { boots, targets } from './checks/boots.ts';
import { cycles } from './checks/cycles.ts';
import { fits } from './checks/files/fits.ts';
import { resolves } from './checks/files/resolves.ts';
import { runPre } from './checks/files/run-pre.ts';
import { stacks } from './checks/files/stacks.ts';
import { successor } from './checks/files/successor.ts';
import { lateModules } from './checks/late-modules.ts';
import { loads, transition } from './checks/loads.ts';
import { logClean } from './checks/log-clean.ts';
import { neighbours, noLeak, nothingLeft } from './checks/memory.ts';
import { redirected } from './checks/redirected.ts';
import { underLoad } from './checks/under-load.ts';
import { unloads } from './checks/unloads.ts';
import { upgrade } from './checks/upgrade.ts';
import type { Check, GuestCheck, Plan, PlannedBoot, StaticCheck, StaticSession } from './run/check.ts';

/** From no patch loaded to no patch loaded. */
const oneRound: readonly GuestCheck[] = [
  boots,
  targets,
  testBefore,
  loads,
  transition,
  redirected,
  testWith,
  reached,
  unloads,
  testAfter,
];

const statics: readonly StaticCheck[] = [fits, runPre, resolves, stacks, successor];

const stock: PlannedBoot = {
  id: 'stock',
  title: 'the stock kernel',
  kernelArguments: [],
  memoryMiB: 512,
  cpus: 2,
  checks: [...oneRound, logClean],
};

/**
 * A task that is blocked for this long (the default of the kernel) is reported with its stack, and the guest panics
 * (sysctl/kernel.rst). A lower limit is not safe: a load waited 23 s for RCU in an emulated guest on a busy machine.
 */
const hungTasks = ['sysctl.kernel.hung_task_timeout_secs=120', 'sysctl.kernel.hung_task_panic=1'];

/**
 * One guest, a few seconds in software emulation. It has one processor: with two, livepatch looks a second later whether the idle
 * one has switched (klp_transition_work), in each direction. The full plan has both. If previous patches are given, it upgrades from
 * them too.
 */
export const quickPlan: Plan = {
  name: 'quick',
  statics,
  boots: [{ ...stock, cpus: 1, checks: [...oneRound, upgrade, logClean] }],
};

/** A boot for many cycles, with one processor, so that a transition does not wait for others to leave their idle loops. */
const cyclesBoot = (part: number): PlannedBoot => ({
  ...stock,
  id: `cycles-${part}`,
  title: `the stock kernel, for many cycles under load, ${part} of 2`,
  kernelArguments: hungTasks,
  cpus: 1,
  checks: [boots, targets, cycles, logClean],
});

/**
 * A guest that contains kpatch needs more memory. One processor, because Node's threads gain nothing from a second emulated
 * one.
 */
const withProgram: PlannedBoot = { ...stock, memoryMiB: 1024, cpus: 1 };

/** A cycle with memory checks, and the checks of the other boots again, because memory errors may show only in them. */
const underMemoryDebugging: readonly GuestCheck[] = [
  ...oneRound.flatMap((check) => (check === unloads ? [noLeak, unloads] : [check])),
  nothingLeft,
  lateModules,
  upgrade,
  underLoad,
  neighbours,
  logClean,
];

/** All checks; takes minutes. Boots may run in parallel, so the long ones start first. */
export const fullPlan: Plan = {
  name: 'full',
  statics,
  boots: [
    // It has other addresses, and its boot is part of the check.
    { ...stock, cold: true },
    cyclesBoot(1),
    cyclesBoot(2),
    {
      ...stock,
      id: 'order',
      title: 'the stock kernel, for modules and upgrades',
      // One processor as for cycles, because there are many transitions.
      cpus: 1,
      checks: [boots, lateModules, upgrade, logClean],
    },
    {
      ...stock,
      id: 'load',
      title: 'the stock kernel, busy',
      kernelArguments: hungTasks,
      checks: [boots, targets, underLoad, logClean],
    },
    {
      ...withProgram,
      id: 'install',
      title: "the stock kernel, patch installed by 'kpatch install'",
      system: 'install',
      checks: [boots, targets, testBefore, installs, logClean],
    },
    {
      ...stock,
      id: 'debug',
      title: 'the stock kernel with memory debugging (slub_debug, page_poison, panic_on_warn)',
      kernelArguments: ['slub_debug=FZPU', 'page_poison=1', 'panic_on_warn=1', ...hungTasks],
      memoryMiB: 768,
      checks: underMemoryDebugging,
    },
    {
      ...withProgram,
      id: 'reboot',
      title: 'the stock kernel, rebooted with the patch installed',
      system: 'reboot',
      checks: [applied, targets, redirected, testWith, reached, logClean],
    },
  ],
};

/** The plan without boots in which no check applies. */
export function trimmed(plan: Plan, session: StaticSession): Plan {
  const frame: readonly Check[] = [boots, targets, logClean];
  const worth = (check: Check): boolean => !frame.includes(check) && check.applies?.(session) !== false;
  const possible = ({ system }: PlannedBoot): boolean => system === undefined || session.program !== undefined;
  return { ...plan, boots: plan.boots.filter((boot) => possible(boot) && boot.checks.some(worth)) };
}

export const plans = { quick: quickPlan, full: fullPlan } as const;

export function allChecks(plan: Plan): readonly Check[] {
  return [...plan.statics, ...plan.boots.flatMap(({ checks }) => checks)];
}

/** The plan with the checks of the user, in each boot in which a check leaves the patch loaded: before it is unloaded. */
export function withUserChecks(plan: Plan, checks: readonly GuestCheck[]): Plan {
  if (checks.length === 0) return plan;
  const boots = plan.boots.map((boot) => {
    const taken = boot.checks.indexOf(unloads);
    const at = taken >= 0 || boot.system === undefined ? taken : boot.checks.indexOf(logClean);
    return at < 0 ? boot : { ...boot, checks: boot.checks.toSpliced(at, 0, ...checks) };
  });
  return { ...plan, boots };
}

/** Names of all checks, for `--check` and its completion. */
export const checkNames = (): string[] => idsOf(fullPlan);

const idsOf = (plan: Plan): string[] => [...new Set(allChecks(plan).map(({ id }) => id))];

/** Checks that others depend on; they stay in every plan. */
const always: readonly Check[] = [fits, boots, targets, loads, transition, redirected, unloads, installs, applied];

/** Checks that must run before another one in the same boot. */
const buildsOn: Readonly<Record<string, string>> = {
  'test-with': testBefore.id,
  reached: testWith.id,
  neighbours: testWith.id,
};

/** The named checks and those they depend on. */
function withGround(names: readonly string[]): string[] {
  const all = new Set(names);
  for (const name of all) if (buildsOn[name] !== undefined) all.add(buildsOn[name]);
  return [...all];
}

/**
 * The plan with only the named checks and those they depend on. `own` are checks of the user, which may be named too; they
 * are added afterwards. Error: `prove-unknown-check`.
 */
export function onlyChecks(plan: Plan, names: readonly string[], own: readonly string[] = []): Plan {
  if (names.length === 0) return plan;
  const ids = idsOf(plan);
  const unknown = names.find((name) => !ids.includes(name) && !own.includes(name));
  if (unknown !== undefined) {
    const more = plan === quickPlan ? idsOf(fullPlan).filter((id) => !ids.includes(id)) : [];
    const known = [...ids, ...own].join(', ') + (more.length === 0 ? '' : `; with --full also ${more.join(', ')}`);
    throw failure('prove-unknown-check', { check: unknown, known });
  }
  const wanted = withGround(names);
  const keep = (check: Check): boolean => wanted.includes(check.id) || always.includes(check);
  const named = ({ checks }: PlannedBoot): boolean => checks.some(({ id }) => names.includes(id));
  // A reboot needs the boot that installed the patch.
  const reboots = plan.boots.some((boot) => boot.system === 'reboot' && named(boot));
  const chosen = plan.boots.filter((boot, at) => at === 0 || named(boot) || (reboots && boot.system === 'install'));
  return {
    name: `${plan.name}, only ${names.join(', ')}`,
    statics: plan.statics.filter(keep),
    boots: chosen.map((boot) => ({ ...boot, checks: boot.checks.filter(keep) })),
  };
}
