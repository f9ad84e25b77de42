/** The differ: two object files of one compilation unit in, what changed and what the module needs out. */
import { failure } from '../base/errors/error.ts';
import { STB } from '../formats/elf/constants.ts';
import type { ElfFile } from '../formats/elf/file.ts';
import type { ElfObject } from '../formats/elf/object.ts';
import { ObjectFile } from '../formats/elf/object-file.ts';
import type { Architecture } from '../platform/platform.ts';
import { architectureOf } from '../platform/registry.ts';
import { tablesOf } from '../platform/structures.ts';
import { isCallback, refuseReserved } from './compare/author.ts';
import { type Changes, findChanges } from './compare/changes.ts';
import { requireMachineCode, requireVersions } from './compare/comparable.ts';
import { Comparison } from './compare/compare.ts';
import { correlate } from './compare/correlate.ts';
import { authorsWords, changedLayouts, structSizes } from './compare/layouts.ts';
import { extract } from './extract/extract.ts';
import type {
  ChangedFunction,
  DiffOptions,
  DiffResult,
  KernelReference,
  LeftOutChange,
  Reason,
  Travelling,
} from './options.ts';
import { isCopyable } from './parts/copyable.ts';
import type { Pair } from './parts/pair.ts';
import { entryOf, isFunction, type Part, sourceOf } from './parts/part.ts';
import { readModel } from './parts/read-model.ts';
import { parentOf } from './parts/symbols/names.ts';
import { TargetSymbols } from './parts/symbols/symbols.ts';
import type { SizeHints } from './parts/tables/table-form.ts';
import { readEntries } from './parts/tables/tables.ts';
import { contentOf } from './parts/target.ts';
import {
  callbackPhases,
  callbackSection,
  type ExtractedFunction,
  type PatchCallback,
  type UnitPatch,
} from './patch.ts';
import { Refusals } from './select/refusals.ts';
import { type Selection, Selector } from './select/select.ts';

/**
 * Compares two objects and selects what must be included.
 * Errors: those of the ELF reader; `diff-machines`, `diff-relocation-unknown`, `diff-entry-size` if the objects cannot
 * be compared; any other `diff-*` error if the change cannot be live patched (exit 4; if there are
 * several, the detail lists all).
 */
export function diff(
  original: Uint8Array | ObjectFile,
  patched: Uint8Array | ObjectFile,
  options: DiffOptions,
): DiffResult {
  const files = { original: parsed(original, options.names.original), patched: parsed(patched, options.names.patched) };
  const { pair, comparison, ambiguous, arch } = prepare(files.original, files.patched, options);
  const changes = findChanges(pair, comparison);
  const symbols = new TargetSymbols(options);
  const selection = new Selector(pair, changes, ambiguous, symbols).select();
  const functions = listFunctions(pair, changes, selection, symbols);
  if (functions.length > 0) refuseLayouts(pair, files, options);
  pair.refusals.check();
  return {
    status: statusOf(functions, selection, pair.leftOut),
    architecture: arch.name,
    object: options.object,
    functions: functions.map(({ listed }) => listed),
    travelling: listTravelling(pair, selection, functions),
    callbacks: selection.parts.some(isCallback),
    references: listReferences(selection),
    defined: listDefined(selection),
    unresolved: selection.unresolved,
    namespaces: selection.namespaces,
    leftOut: pair.leftOut,
    notes: [...new Set(pair.notes)],
    patch: () => patchOf(pair, selection, functions),
  };
}

function statusOf(
  functions: readonly ListedFunction[],
  { parts }: Selection,
  leftOut: readonly LeftOutChange[],
): DiffResult['status'] {
  if (functions.length > 0 || parts.length > 0) return 'changed';
  // The kernel does not contain a function that another one overrides.
  return leftOut.every(({ reason }) => reason === 'overridden') ? 'unchanged' : 'left out';
}

/** The files of a pair. */
interface Files {
  readonly original: ObjectFile;
  readonly patched: ObjectFile;
}

/** A file that the caller has not parsed yet is parsed here. Errors: those of `ElfFile`. */
export function parsed(object: Uint8Array | ObjectFile, name: string): ObjectFile {
  return object instanceof ObjectFile ? object : new ObjectFile(object, name);
}

function refuseLayouts(pair: Pair, { original, patched }: Files, options: DiffOptions): void {
  const where = { file: options.names.patched, section: '.debug_info', offset: 0 };
  for (const { name, text } of changedLayouts(original.elf, patched.elf)) {
    if (options.acceptLayouts?.includes(name) === true)
      pair.notes.push(`the layout of ${name} changes (${text}); accepted`);
    else pair.refusals.add('diff-layout-changed', { type: name, change: text }, where);
  }
  pair.notes.push(...authorsWords(original.elf, patched.elf));
}

/** Reads and correlates; what comes after needs no file any more. */
export function prepare(
  original: ObjectFile,
  patched: ObjectFile,
  options: DiffOptions,
): { pair: Pair; comparison: Comparison; ambiguous: ReadonlySet<Part>; arch: Architecture } {
  const [read, readPatched] = [original.object, patched.object];
  const arch = architectureOf(read);
  const other = architectureOf(readPatched);
  if (arch !== other) {
    throw failure(
      'diff-machines',
      { original: arch.name, patched: other.name },
      { where: { file: options.names.patched, offset: 18 } },
    );
  }
  requireMachineCode(read);
  requireMachineCode(readPatched);
  for (const object of [read, readPatched]) refuseReserved(object);
  const before = arch.forModules?.(read) ?? read;
  const after = arch.forModules?.(readPatched) ?? readPatched;
  const tables = tablesOf(arch, options.kernel);
  const names = new Set(
    tables.flatMap(({ name, parallel }) => (parallel === undefined ? [name] : [name, parallel.name])),
  );
  const models = [readModel(before, arch, names), readModel(after, arch, names)] as const;
  const notes: string[] = [];
  const entries = [
    readEntries(models[0], tables, hintsFrom(original.elf, options, notes)),
    readEntries(models[1], tables, hintsFrom(patched.elf, options, notes)),
  ] as const;
  const { ambiguous } = correlate(models[0], models[1], entries);
  requireVersions(models[0], models[1]);
  const pair = {
    original: models[0],
    patched: models[1],
    entries,
    options,
    refusals: new Refusals(),
    notes,
    leftOut: [],
  };
  return { pair, comparison: new Comparison(entries, options.keepLineChanges === true), ambiguous, arch };
}

/** Debug information is read only where a table needs it. */
function hintsFrom(object: ElfFile, { entrySizes = {}, kernel }: DiffOptions, notes: string[]): SizeHints {
  let sizes: ReadonlyMap<string, number> | undefined;
  const structSize = (name: string): number | undefined => {
    const known = kernel.target?.structures[name]?.size;
    if (known !== undefined) return known;
    sizes ??= structSizes(object);
    return sizes.get(name);
  };
  return { told: entrySizes, structSize, note: (text) => notes.push(text) };
}

interface ListedFunction {
  readonly listed: ChangedFunction;
  readonly part: Part;
  readonly address: bigint;
}

function listFunctions(pair: Pair, changes: Changes, selection: Selection, symbols: TargetSymbols): ListedFunction[] {
  const functions: ListedFunction[] = [];
  const { arch } = pair.patched;
  for (const part of selection.parts) {
    if (!isFunction(part)) continue;
    const reasons = changes.changed.get(part);
    if (reasons !== undefined) functions.push(changedFunction(pair, part, reasons, symbols));
    else if (part.twin === undefined && parentOf(part.name) === undefined && arch.isThunk?.(part.name) !== true)
      functions.push(newFunction(part, selection));
  }
  return functions;
}

function changedFunction(pair: Pair, part: Part, reasons: readonly Reason[], symbols: TargetSymbols): ListedFunction {
  const twin = part.twin!;
  const symbol = twin.symbol!;
  const local = symbol.bind === STB.LOCAL;
  const lookup = symbols.own({ name: symbol.name, kind: 'function', local, file: twin.file });
  const { object } = pair.options;
  if (lookup.found === undefined) {
    const where = {
      file: pair.options.names.original,
      section: twin.section.name,
      function: symbol.name,
      offset: twin.start,
    };
    const user = 'the patch';
    if (lookup.count === 0) pair.refusals.add('diff-symbol-missing', { user, name: symbol.name, object }, where);
    else pair.refusals.add('diff-symbol-ambiguous', { user, name: symbol.name, object, count: lookup.count }, where);
  }
  return {
    part,
    address: lookup.found?.symbol?.address ?? 0n,
    listed: {
      ...common(part),
      name: symbol.name,
      kind: 'changed',
      bind: local ? 'local' : 'global',
      sympos: lookup.found?.sympos,
      reasons,
      originalSize: lookup.found?.symbol?.size ?? sizeOfFunction(twin),
    },
  };
}

function newFunction(part: Part, selection: Selection): ListedFunction {
  const bind = part.symbol!.bind === STB.LOCAL ? 'local' : 'global';
  const reasons = [{ text: selection.reasons.get(part) ?? 'it is new' }];
  return {
    part,
    address: 0n,
    listed: { ...common(part), name: part.name, kind: 'new', bind, sympos: undefined, reasons, originalSize: 0 },
  };
}

function common(part: Part): Pick<ChangedFunction, 'patchedName' | 'aliases' | 'section' | 'size' | 'source'> {
  const source = sourceOf(part);
  const aliases = part.symbols.filter(({ value, name }) => value === entryOf(part) && name !== part.name);
  return {
    patchedName: part.name,
    aliases: aliases.map(({ name }) => name),
    section: part.section.name,
    size: sizeOfFunction(part),
    ...(source === undefined ? {} : { source: `${source.file}:${source.line}` }),
  };
}

function sizeOfFunction(part: Part): number {
  return part.symbol!.size > 0 ? part.symbol!.size : part.end - entryOf(part);
}

function listTravelling(pair: Pair, selection: Selection, functions: readonly ListedFunction[]): Travelling[] {
  const listed = new Set(functions.map(({ part }) => part));
  const travelling: Travelling[] = [];
  for (const part of selection.parts) {
    if (listed.has(part)) continue;
    const reason = selection.reasons.get(part) ?? '';
    const size = part.end - part.start;
    travelling.push({ name: part.name, kind: kindOf(part), section: part.section.name, size, reason });
  }
  for (const [section, places] of selection.contents) {
    for (const at of places) {
      const content = contentOf(section, at);
      const text = Buffer.from(content);
      const strings = pair.patched.kindOf(section).class === 'strings';
      const name = strings ? JSON.stringify(text.toString('latin1')) : `0x${text.toString('hex')}`;
      const kind = strings ? 'string' : 'constant';
      travelling.push({
        name,
        kind,
        section: section.name,
        size: content.length,
        reason: 'an included function uses it',
      });
    }
  }
  const counts = new Map<string, { count: number; size: number }>();
  for (const { section, start, end } of selection.entries) {
    const known = counts.get(section.name) ?? { count: 0, size: 0 };
    counts.set(section.name, { count: known.count + 1, size: known.size + end - start });
  }
  for (const [section, { count, size }] of counts) {
    const reason = 'they describe included code';
    travelling.push({ name: `${count} of ${section}`, kind: 'table entries', section, size, reason });
  }
  return travelling;
}

function kindOf(part: Part): Travelling['kind'] {
  if (part.class === 'kpatch') return 'callback';
  if (part.class === 'fragments') return 'fragment';
  if (part.class === 'text') return parentOf(part.name) === undefined ? 'copy' : 'cold part';
  return isCopyable(part) && part.class === 'read-only' ? 'constant' : 'data';
}

function listDefined({ parts }: Selection): string[] {
  const names = parts.flatMap(({ symbols }) =>
    symbols.filter(({ bind }) => bind !== STB.LOCAL).map(({ name }) => name),
  );
  return [...new Set(names)].sort();
}

function listReferences(selection: Selection): KernelReference[] {
  const references: KernelReference[] = [...selection.references.values()].map(
    ({ name, object, exported, sympos }) => ({
      name,
      object,
      exported,
      sympos,
    }),
  );
  for (const name of selection.unresolved) references.push({ name, object: undefined, exported: false, sympos: 0 });
  return references.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.sympos - b.sympos));
}

function patchOf(pair: Pair, selection: Selection, functions: readonly ListedFunction[]): UnitPatch {
  const { object: elf, relocations, symbolOf } = extract(pair.patched, selection);
  const { object } = pair.options;
  const patched: ExtractedFunction[] = [];
  for (const { part, listed, address } of functions) {
    const symbol = symbolOf(part);
    if (listed.kind !== 'changed' || symbol === undefined) continue;
    const { name, originalSize: oldSize, size: newSize, sympos = 0 } = listed;
    patched.push({ symbol, name, oldAddress: address, oldSize, newSize, sympos });
  }
  return {
    object,
    elf,
    functions: patched,
    relocations: relocations.map((relocation) => ({ ...relocation, object })),
    callbacks: callbacksIn(elf),
  };
}

/** The callbacks of the author, in the order of their phases. Error: `intermediate-malformed` for one without a function. */
function callbacksIn({ file, sections }: ElfObject): PatchCallback[] {
  return callbackPhases.flatMap((phase) =>
    sections
      .filter(({ name }) => name === callbackSection(phase))
      .flatMap((section) =>
        Array.from({ length: Math.floor(section.data.length / CALLBACK) }, (_, index) => {
          const offset = index * CALLBACK;
          const pointer = section.relocations.find((relocation) => relocation.offset === offset);
          if (pointer?.symbol !== undefined) return { phase, symbol: pointer.symbol, offset: pointer.addend };
          const problem = 'a callback without a function';
          throw failure(
            'intermediate-malformed',
            { file, problem },
            { where: { file, section: section.name, offset } },
          );
        }),
      ),
  );
}

/** struct kpatch_*_callback { callback; char *objname } */
const CALLBACK = 16;
