/** What a reference of code that is included must not mean in a running kernel. */
import { STT } from '../../formats/elf/constants.ts';
import type { Relocation, Section } from '../../formats/elf/object.ts';
import { usesOf } from '../compare/correlate.ts';
import type { Pair } from '../parts/pair.ts';
import { isFunction, type Part } from '../parts/part.ts';
import type { Resolution } from '../parts/symbols/symbols.ts';
import type { Entry } from '../parts/tables/tables.ts';
import { type ReferenceTarget, useOf } from '../parts/target.ts';

/** Who refers: a part that is included, or an entry of a table that goes with one. */
export interface User {
  readonly part: Part;
  readonly section: Section;
  readonly entry: Entry | undefined;
  readonly name: string;
}

/** Bytes of the largest variable that is not an array or structure, so that code does not iterate to its end. */
const LARGEST_SCALAR = 8;

/**
 * Livepatch relocations for a module are applied when the patch is enabled, long after the loader has used the tables of
 * alternatives, jump labels and their like (Documentation/livepatch/module-elf-format.rst, since 5.8).
 */
export function checkLate(pair: Pair, { name, object }: Resolution, user: User): void {
  const { options, refusals } = pair;
  if (options.object === 'vmlinux') return;
  const table = user.entry !== undefined || user.section.name === '.altinstr_replacement';
  if (!table || user.entry?.table.key !== undefined) return;
  const where = { file: options.names.patched, section: user.section.name, offset: user.entry?.start ?? 0 };
  refusals.add('diff-table-late', { user: user.name, name, object }, where, user.part);
}

export function refuseAmbiguous(pair: Pair, part: Part, user: User): void {
  const where = {
    file: pair.options.names.patched,
    section: part.section.name,
    symbol: part.name,
    offset: part.start,
  };
  pair.refusals.add('diff-local-ambiguous', { user: user.name, name: part.name }, where, user.part);
}

/**
 * The assembler tells places in a section that several variables share by their distance from its beginning: the end of an
 * array is then the same as the beginning of what follows it. Refuses where the running kernel has something else there.
 */
export function refuseEnd(
  pair: Pair,
  { part, offset }: ReferenceTarget & { kind: 'part' },
  { symbol }: Relocation,
  user: User,
  travelling: Iterable<Part>,
): void {
  // Entries of tables name objects by their beginning.
  if (!part.shared || offset !== 0 || symbol?.type !== STT.SECTION || user.entry !== undefined) return;
  const before = part.model
    .partsOf(part.section)
    .find(({ start, end }) => end === part.start && end - start > LARGEST_SCALAR);
  if (before?.symbol === undefined) return;
  const [left, right] = [before.twin, part.twin];
  if (left !== undefined && right !== undefined && left.section === right.section && left.end === right.start) return;
  // Code does not take the end of an array alone.
  if (!usesBoth(user.part, before, travelling)) return;
  const { refusals, options } = pair;
  const { name, section, start } = part;
  const where = { file: options.names.patched, section: section.name, symbol: name, offset: start };
  const params = { user: user.name, before: before.name, name, section: section.name };
  refusals.add('diff-reference-ambiguous', params, where, user.part);
}

/**
 * True if code that is included refers to `other` too; for an entry of a list of addresses, the code that uses that entry.
 */
function usesBoth(user: Part, other: Part, travelling: Iterable<Part>): boolean {
  const functions = isFunction(user) ? [user] : [...travelling].filter(isFunction);
  return functions.some((one) => {
    const used = new Set(usesOf(one));
    return used.has(other) && (one === user || used.has(user));
  });
}

export function refuseInit(pair: Pair, part: Part, user: User): void {
  const { options, refusals } = pair;
  const where = { file: options.names.patched, section: part.section.name, symbol: part.name, offset: part.start };
  const { object } = options;
  refusals.add(
    'diff-refers-init',
    { user: user.name, name: part.name, section: part.section.name, object },
    where,
    user.part,
  );
}

export function refuseSection(pair: Pair, section: Section, user: User): void {
  const { options, refusals } = pair;
  const where = { file: options.names.patched, section: section.name, offset: 0 };
  refusals.add('diff-section-unknown', { section: section.name, how: `${user.name} refers to it` }, where);
}

/** New code must not call indirectly what the kernel has sealed at start (CONFIG_X86_KERNEL_IBT). */
export function checkSeal(pair: Pair, part: Part, relocation: Relocation, user: User): void {
  if (useOf(pair.patched, user.section, relocation) !== 'address') return;
  if (pair.entries[0].get(part.twin!)?.some(({ table }) => table.seals === true) !== true) return;
  const where = { file: pair.options.names.patched, section: user.section.name, offset: relocation.offset };
  pair.refusals.add('diff-sealed', { user: user.name, name: part.name }, where, user.part);
}
