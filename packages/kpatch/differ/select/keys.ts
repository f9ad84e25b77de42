/** Keys of jump labels and static calls: whether the kernel can find them when it loads the module. */

import { STB } from '../../formats/elf/constants.ts';
import { has } from '../../platform/kernel-rules.ts';
import { isCopyable } from '../parts/copyable.ts';
import type { Pair } from '../parts/pair.ts';
import type { Part } from '../parts/part.ts';
import type { Lookup, TargetSymbols } from '../parts/symbols/symbols.ts';
import type { Entry } from '../parts/tables/tables.ts';
import { type ReferenceTarget, targetOf } from '../parts/target.ts';

/**
 * Jump labels and static calls: the kernel reads the tables when it loads the module, before livepatch relocations of
 * modules are applied. Those of the kernel image come first since 5.8 (7c8e2bdd5f0d).
 * False if the entry is left out because the code works without it; a note says so.
 */
export function keyWorks(pair: Pair, symbols: TargetSymbols, entry: Entry, part: Part): boolean {
  const { patched, options, refusals, notes } = pair;
  const key = entry.table.key!;
  const relocation = entry.relocations.find(({ offset }) => offset - entry.start === key.field);
  if (relocation === undefined) return true;
  const target = targetOf(patched, entry.section, relocation);
  const decision = keyHome(pair, symbols, target);
  if (decision === 'works') return true;
  const name = target.kind === 'part' ? target.part.name : target.kind === 'external' ? target.symbol.name : '';
  if (key.kind === 'static call') {
    notes.push(`${part.name}: the static call of ${name} goes through its trampoline because its key is in a module`);
    return false;
  }
  if (/^__tracepoint_/.test(name)) {
    notes.push(
      `${part.name}: the tracepoint ${name.slice(13)} is disabled in the new version because its key is in a module`,
    );
    return false;
  }
  const where = {
    file: options.names.patched,
    section: entry.section.name,
    function: part.name,
    offset: entry.start,
  };
  const params = { name: part.name, kind: key.kind, key: name };
  if (decision === 'early') refusals.add('diff-key-early', params, where, part, part.start + entry.offset);
  else refusals.add('diff-key-module', params, where, part, part.start + entry.offset);
  return true;
}

/** Where the key is: reachable in time, reachable since 5.8 only, or in a module. */
function keyHome({ options }: Pair, symbols: TargetSymbols, target: ReferenceTarget): 'works' | 'early' | 'module' {
  let lookup: Lookup;
  if (target.kind === 'external') {
    lookup = symbols.find({ name: target.symbol.name, kind: undefined, local: false, file: '' });
  } else if (target.kind === 'part') {
    const symbol = target.part.twin?.symbol;
    // A key that is included, new or a copy, is the module's own.
    if (symbol === undefined || isCopyable(target.part)) return 'works';
    if (options.object !== 'vmlinux') return 'module';
    lookup = symbols.find({
      name: symbol.name,
      kind: 'object',
      local: symbol.bind === STB.LOCAL,
      file: target.part.twin!.file,
    });
  } else return 'works';
  if (lookup.found === undefined || lookup.found.ordinary) return 'works';
  if (lookup.found.object !== 'vmlinux') return 'module';
  return has(options.kernel, 'earlyRelocations') ? 'works' : 'early';
}
