/**
 * Does the new code of a patched function really run? A live patch changes the instruction pointer through ftrace; other users
 * of the same function can come before it, after it, or in its place (docs/effective.md):
 *
 * - livepatch and the other users that change the instruction pointer exclude each other (FTRACE_OPS_FL_IPMODIFY), so the one
 *   that is shown is the only one;
 * - a direct call (BPF trampoline) on the same function decides by its programs: `fentry` and `fexit` call what the live patch
 *   gives, `fmod_ret` may skip it. The kernel does not show which of them is attached;
 * - a kprobe inside the old function never runs again, one at its entry still does; one with a handler that changes the
 *   instruction pointer cannot be told from another, and the kernel refuses both on one function;
 * - of several live patches that replace the function, the one on top runs.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { ReplacedFunction } from '../../module/tables.ts';
import { attribute, foldersIn, numberAttribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { type LoadedPatch, loadedPatches } from './livepatches.ts';

/** `absent`: the module that has the function is not loaded, so neither the old nor the new code can run. */
export type Effect = 'runs' | 'shadowed' | 'unknown' | 'absent';

export interface FunctionEffect extends ReplacedFunction {
  readonly patch: string;
  readonly effect: Effect;
  /** Why, in words. */
  readonly reason: string;
}

/** One line of `enabled_functions` (t_show in kernel/trace/ftrace.c). */
interface Enabled {
  readonly name: string;
  readonly object: string;
  readonly users: number;
  readonly changesFlow: boolean;
  readonly direct: boolean;
  /** What the line names as handlers. */
  readonly handlers: string;
}

function enabledFunctions(text: string): Enabled[] {
  // "	direct-->..." of a direct call is a line of its own.
  return text
    .replace(/\n\s+direct/g, ' direct')
    .split('\n')
    .flatMap((line) => {
      const found = /^(\S+)(?:\s+\[(\S+)\])?\s+\((\d+)\)([ RIDMOE]*)(.*)$/.exec(line);
      if (found === null) return [];
      const [, name = '', module, users, flags = '', handlers = ''] = found;
      const direct = flags.includes('D') || handlers.includes('direct-->');
      return [
        { name, object: module ?? 'vmlinux', users: Number(users), changesFlow: flags.includes('I'), direct, handlers },
      ];
    });
}

interface Lists {
  readonly enabled: readonly Enabled[] | undefined;
  readonly probes: string | undefined;
  /** The kernel parameter that switches ftrace off. */
  readonly ftrace: boolean;
}

function read({ sysfs, proc }: Machine): Lists {
  const folders = ['kernel/tracing', 'kernel/debug/tracing'];
  const text = folders
    .map((folder) => attribute(join(sysfs, folder, 'enabled_functions')))
    .find((one) => one !== undefined);
  return {
    enabled: text === undefined ? undefined : enabledFunctions(text),
    probes: attribute(join(sysfs, 'kernel/debug/kprobes/list')),
    ftrace: attribute(join(proc, 'sys/kernel/ftrace_enabled')) !== '0',
  };
}

/** Every function that an enabled patch replaces, and whether its new code runs. Never throws. */
export function functionEffects(machine: Machine): FunctionEffect[] {
  const patches = loadedPatches(machine).filter(({ enabled }) => enabled);
  if (patches.length === 0) return [];
  const lists = read(machine);
  return patches.flatMap((patch) =>
    patch.objects.flatMap(({ name: object, patched, functions }) =>
      functions.map((one): FunctionEffect => {
        if (patched === false || (object !== 'vmlinux' && !foldersIn(join(machine.sysfs, 'module')).includes(object)))
          return { ...one, patch: patch.name, effect: 'absent', reason: `${object} is not loaded` };
        return { ...one, patch: patch.name, ...effectOf(machine, one, patch, patches, lists) };
      }),
    ),
  );
}

function effectOf(
  machine: Machine,
  one: ReplacedFunction,
  patch: LoadedPatch,
  patches: readonly LoadedPatch[],
  { enabled, probes, ftrace }: Lists,
): { effect: Effect; reason: string } {
  if (!ftrace) return { effect: 'unknown', reason: 'kernel.ftrace_enabled is 0' };
  if (patch.transition)
    return { effect: 'unknown', reason: 'the transition has not completed: some tasks run the old code' };
  const others = patches.filter((other) => other !== patch && replaces(other, one));
  if (others.length > 0) return stacked(machine, patch, others);
  if (enabled === undefined) return { effect: 'unknown', reason: 'the list of traced functions cannot be read' };
  const places = enabled.filter(({ name, object }) => name === one.name && object === one.object);
  if (places.length > 1 || one.sympos > 1)
    return { effect: 'unknown', reason: 'several functions have this name, and the list does not say which is which' };
  const [place] = places;
  if (place === undefined) return { effect: 'shadowed', reason: 'ftrace does not redirect it' };
  if (!place.changesFlow) return { effect: 'shadowed', reason: 'nothing changes the instruction pointer at its entry' };
  if (place.direct)
    return {
      effect: 'unknown',
      reason: 'a BPF program is attached; fentry and fexit run beside the new code, fmod_ret may skip it',
    };
  const inside = probesInside(probes ?? '', one.name);
  if (inside > 0) return { effect: 'runs', reason: `${inside} kprobes inside the old code never run` };
  if (place.users > 1) return { effect: 'runs', reason: `${place.users - 1} other tracers run before it` };
  return { effect: 'runs', reason: 'livepatch is the only user of its entry' };
}

/** The order of patches is in sysfs since Linux 6.14 (`stack_order`, from 1; the highest runs). */
function stacked(
  { sysfs }: Machine,
  patch: LoadedPatch,
  others: readonly LoadedPatch[],
): { effect: Effect; reason: string } {
  const order = ({ name }: LoadedPatch): number | undefined =>
    numberAttribute(join(sysfs, 'kernel/livepatch', name, 'stack_order'));
  const own = order(patch);
  const orders = others.map(order);
  const names = others.map(({ name }) => name).join(', ');
  if (own === undefined || orders.includes(undefined))
    return { effect: 'unknown', reason: `${names} replaces it too; this kernel does not show the order` };
  const above = orders.some((other) => other! > own);
  return above
    ? { effect: 'shadowed', reason: `${names} replaces it too and was enabled later` }
    : { effect: 'runs', reason: `it was enabled after ${names}` };
}

function replaces({ objects }: LoadedPatch, { name, object, sympos }: ReplacedFunction): boolean {
  return objects.some(({ functions }) =>
    functions.some((other) => other.name === name && other.object === object && other.sympos === sympos),
  );
}

/** `address  k  name+0x10  [OPTIMIZED]` (report_probe in kernel/kprobes.c): entries have offset 0, or 4 with ENDBR. */
function probesInside(text: string, name: string): number {
  return text.split('\n').filter((line) => {
    const found = /^\S+\s+[kr]\s+([^\s+]+)\+0x([0-9a-f]+)(.*)$/.exec(line);
    return found !== null && found[1] === name && Number.parseInt(found[2]!, 16) > 4 && !found[3]!.includes('[FTRACE]');
  }).length;
}

/** The counts for a report; the digest changes whenever the effect of a function does. */
export function effectSummary(effects: readonly FunctionEffect[]): {
  works: number;
  shadowed: string[];
  unknown: number;
  digest: string;
} {
  const lines = effects.map(
    ({ patch, object, name, sympos, effect }) => `${patch} ${object} ${name} ${sympos} ${effect}`,
  );
  return {
    works: effects.filter(({ effect }) => effect === 'runs').length,
    shadowed: effects
      .filter(({ effect }) => effect === 'shadowed')
      .map(({ object, name }) => `${object}:${name}`)
      .slice(0, 64),
    unknown: effects.filter(({ effect }) => effect === 'unknown').length,
    digest: createHash('sha256').update(lines.sort().join('\n')).digest('hex'),
  };
}
