/** What livepatch can reach of a running kernel: changes beyond that are left out where that is safe, or refused. */
import { STB } from '../../formats/elf/constants.ts';
import type { Reason } from '../options.ts';
import type { Pair } from '../parts/pair.ts';
import { entryOf, isFunction, type Part } from '../parts/part.ts';
import { unpatchableReason } from '../parts/section-class.ts';
import { parentOf } from '../parts/symbols/names.ts';
import type { Entries } from '../parts/tables/tables.ts';
import { targetOf, useOf } from '../parts/target.ts';

/**
 * Global names of functions that now stand for another function: an alias that was pointed elsewhere, or two functions that
 * became one. Only one of the names could be redirected without the other.
 */
export function refuseMovedNames({ original, patched, options, refusals }: Pair): void {
  const homes = new Map<string, Part>();
  for (const part of original.parts) {
    if (!isFunction(part) || part.phase !== 'always') continue;
    for (const { name, bind } of part.symbols) if (bind !== STB.LOCAL) homes.set(name, part);
  }
  for (const part of patched.parts) {
    if (!isFunction(part) || part.phase !== 'always') continue;
    for (const { name, bind } of part.symbols) {
      const home = homes.get(name);
      if (bind === STB.LOCAL || home === undefined || home.twin === part) continue;
      if (original.arch.prefixOf(name) !== undefined) continue;
      const where = { file: options.names.patched, section: part.section.name, function: name, offset: part.start };
      refusals.add('diff-alias-moved', { name, before: home.name, after: part.name }, where);
    }
  }
}

/** Init and exit code of a module runs again when the module is loaded again. */
export function refuseInit(pair: Pair, part: Part): void {
  const { object, names } = pair.options;
  const { name, section } = part;
  const where = { file: names.patched, section: section.name, symbol: name, offset: part.start };
  pair.refusals.add('diff-init-changed', { name, section: section.name, object }, where, part);
}

/** Functions that livepatch cannot reach. */
export function refuseUnpatchable(pair: Pair, changed: ReadonlyMap<Part, readonly Reason[]>): void {
  for (const part of changed.keys()) {
    const { name, section } = part.twin!;
    const where = {
      file: pair.options.names.original,
      section: section.name,
      function: name,
      offset: part.twin!.start,
    };
    const reason = unpatchableReason(section.name);
    if (/^__(?:vdso|kernel)_/.test(name))
      pair.refusals.add('diff-vdso', { file: pair.options.names.original }, where, part);
    else if (reason !== undefined) pair.refusals.add('diff-unpatchable', { name, reason }, where, part);
    else if (!isTraceable(part.twin!, pair.entries[0])) pair.refusals.add('diff-no-trace', { name }, where, part);
  }
}

/** True if ftrace has a place at the function's entry, by the table of such places or by the call that is there. */
export function isTraceable(part: Part, entries: Entries): boolean {
  const { trace } = part.model.arch;
  if (trace.isPlace?.(part.section.data, entryOf(part)) === true) return true;
  const entry = entryOf(part) - part.start + part.model.arch.localEntry(part.symbol?.other ?? 0);
  const near = (offset: number): boolean => offset >= entry - trace.before && offset <= entry + trace.after;
  if (entries.get(part)?.some(({ table, offset }) => table.trace === true && near(offset)) === true) return true;
  const calls = part.model.relocationsIn(part.section, part.start + entry, part.start + entry + trace.after + 8);
  return calls.some(({ symbol }) => symbol !== undefined && trace.callees.includes(symbol.name));
}

/** Lists and unknown sections that only one of the objects has. */
export function refuseLists(pair: Pair, ignored: ReadonlySet<string>): void {
  for (const [model, what] of [
    [pair.original, 'is gone'],
    [pair.patched, 'is new'],
  ] as const) {
    for (const part of model.parts) {
      if (part.twin !== undefined || (part.class !== 'registry' && part.class !== 'ids')) continue;
      const { name } = part.section;
      if (ignored.has(name)) continue;
      if (part.class === 'ids') {
        refuseIds(pair, part, what);
        continue;
      }
      if (part.phase !== 'always' && pair.options.object === 'vmlinux') {
        const text = `the list ${name} ${what}: the kernel reads it only when it boots`;
        pair.leftOut.push({ reason: 'list', name, section: name, text });
        pair.notes.push(`left out: ${text}`);
      } else {
        const where = { file: model.object.file, section: name, offset: 0 };
        pair.refusals.add('diff-list-changed', { section: name, how: `it ${what}` }, where);
      }
    }
  }
}

/** Only resolve_btfids, when the kernel or a module of its tree is linked, writes the numbers into a list of BTF ids. */
function refuseIds({ refusals, leftOut }: Pair, part: Part, what: 'is gone' | 'is new'): void {
  const { name, section, start, model } = part;
  if (what === 'is gone') {
    leftOut.push({ reason: 'removed', name, section: section.name, text: `the list ${name} is gone` });
    return;
  }
  const where = { file: model.object.file, section: section.name, symbol: name, offset: start };
  refusals.add('diff-list-changed', { section: section.name, how: `${name} ${what}` }, where);
}

/** Removed functions to which pointers may still exist. */
export function refuseRemoved(pair: Pair): void {
  const { original } = pair;
  const removed = new Set(
    original.parts.filter(
      (part) =>
        isFunction(part) && part.twin === undefined && part.phase === 'always' && parentOf(part.name) === undefined,
    ),
  );
  if (removed.size === 0) return;
  for (const user of original.parts) {
    if (user.phase === 'exit' || user.class === 'registry' || user.class === 'kpatch') continue;
    for (const relocation of original.relocationsOfPart(user)) {
      const target = targetOf(original, user.section, relocation);
      if (target.kind !== 'part' || !removed.has(target.part) || target.part === user) continue;
      if (useOf(original, user.section, relocation) !== 'address') continue;
      if (target.part.start + target.offset !== entryOf(target.part)) continue;
      const { name, section } = target.part;
      const where = {
        file: pair.options.names.original,
        section: section.name,
        function: name,
        offset: target.part.start,
      };
      pair.refusals.add('diff-removed-address', { name, user: user.name }, where, user, relocation.offset);
    }
  }
}
