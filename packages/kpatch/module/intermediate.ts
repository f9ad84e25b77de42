/**
 * The intermediate sections between differ and patch module (format: dynup/kpatch, kpatch-intermediate.h and
 * kpatch-patch.h), read back from a linked object. All pointers in them are relocations.
 */

import { failure } from '../base/errors/error.ts';
import { callbackPhases, callbackSection, type KernelRelocation, type PatchCallback } from '../differ/patch.ts';
import { definedIn, type ElfObject, type ElfSymbol, type Relocation, type Section } from '../formats/elf/object.ts';

/** `struct kpatch_symbol`: src 0, pos 8, bind 16, type 17, name 24, objname 32. */
const SYMBOL = { size: 40, pos: 8, bind: 16, type: 17, name: 24, objname: 32 } as const;
/** `struct kpatch_relocation`: dest 0, type 8, external 12, addend 16 (a long), objname 24, ksym 32. */
const RELOCATION = { size: 40, dest: 0, type: 8, addend: 16, objname: 24, ksym: 32 } as const;
/** `struct kpatch_patch_func`: new_addr 0, new_size 8, old_addr 16, old_size 24, sympos 32, name 40, objname 48. */
const FUNCTION = { size: 56, newAddress: 0, sympos: 32, name: 40, objname: 48 } as const;

/** A function that a table replaces. */
export interface Replacement {
  readonly name: string;
  readonly object: string;
  readonly sympos: number;
  readonly replacement: ElfSymbol;
  /** Bytes of the replacement's entry from the symbol. */
  readonly offset: number;
}

/** Reads tables whose pointers are relocations. */
class Table {
  readonly #object: ElfObject;
  readonly section: Section;
  readonly view: DataView;
  readonly count: number;
  readonly #size: number;
  readonly #pointers: ReadonlyMap<number, Relocation>;

  constructor(object: ElfObject, section: Section, size: number) {
    this.#object = object;
    this.section = section;
    this.#size = size;
    const { data } = section;
    if (data.length % size !== 0)
      throw malformed(object, section, data.length, `a size that is not a multiple of ${size}`);
    this.view = new DataView(data.buffer, data.byteOffset, data.length);
    this.count = data.length / size;
    this.#pointers = new Map(section.relocations.map((relocation) => [relocation.offset, relocation]));
  }

  u32(entry: number, field: number): number {
    return this.view.getUint32(entry * this.#size + field, this.#object.littleEndian);
  }

  i64(entry: number, field: number): number {
    const at = entry * this.#size + field;
    const value = Number(this.view.getBigInt64(at, this.#object.littleEndian));
    if (!Number.isSafeInteger(value)) throw malformed(this.#object, this.section, at, 'an addend that is too large');
    return value;
  }

  u8(entry: number, field: number): number {
    return this.view.getUint8(entry * this.#size + field);
  }

  u64(entry: number, field: number): number {
    const at = entry * this.#size + field;
    const value = this.view.getBigUint64(at, this.#object.littleEndian);
    if (value > 0xffffffffn) throw malformed(this.#object, this.section, at, 'a position that is too large');
    return Number(value);
  }

  /** What a pointer field points to: section and offset. */
  target(entry: number, field: number): { section: Section; offset: number; symbol: ElfSymbol; addend: number } {
    const at = entry * this.#size + field;
    const pointer = this.#pointers.get(at);
    const symbol = pointer?.symbol;
    const section = symbol === undefined ? undefined : definedIn(symbol);
    if (pointer === undefined || symbol === undefined || section === undefined) {
      throw malformed(this.#object, this.section, at, 'a pointer without a relocation');
    }
    return { section, offset: symbol.value + pointer.addend, symbol, addend: pointer.addend };
  }

  string(entry: number, field: number): string {
    const { section, offset } = this.target(entry, field);
    const end = section.data.indexOf(0, offset);
    if (offset < 0 || end < 0)
      throw malformed(this.#object, this.section, entry * this.#size + field, 'an unterminated string');
    return Buffer.from(section.data.subarray(offset, end)).toString('utf8');
  }
}

function malformed(object: ElfObject, section: Section, offset: number, problem: string): Error {
  return failure(
    'intermediate-malformed',
    { file: object.file, problem },
    { where: { file: object.file, section: section.name, offset } },
  );
}

function table(object: ElfObject, name: string, size: number): Table | undefined {
  const section = object.sections.find((candidate) => candidate.name === name);
  return section === undefined ? undefined : new Table(object, section, size);
}

/** The relocations that only the kernel can resolve. Error: `intermediate-malformed`. */
export function readKernelRelocations(object: ElfObject): KernelRelocation[] {
  const relocations = table(object, '.kpatch.relocations', RELOCATION.size);
  const symbols = table(object, '.kpatch.symbols', SYMBOL.size);
  if (relocations === undefined) return [];
  const result: KernelRelocation[] = [];
  for (let entry = 0; entry < relocations.count; entry++) {
    const dest = relocations.target(entry, RELOCATION.dest);
    const ksym = relocations.target(entry, RELOCATION.ksym);
    const index = ksym.offset / SYMBOL.size;
    if (
      symbols === undefined ||
      ksym.section !== symbols.section ||
      !Number.isInteger(index) ||
      index < 0 ||
      index >= symbols.count
    ) {
      throw malformed(object, relocations.section, entry * RELOCATION.size + RELOCATION.ksym, 'a missing symbol');
    }
    result.push({
      section: dest.section,
      offset: dest.offset,
      type: relocations.u32(entry, RELOCATION.type),
      addend: relocations.i64(entry, RELOCATION.addend),
      object: relocations.string(entry, RELOCATION.objname),
      symbol: {
        name: symbols.string(index, SYMBOL.name),
        object: symbols.string(index, SYMBOL.objname),
        sympos: symbols.u64(index, SYMBOL.pos),
        bind: symbols.u8(index, SYMBOL.bind),
        type: symbols.u8(index, SYMBOL.type),
      },
    });
  }
  return result;
}

/** The functions that are replaced. Error: `intermediate-malformed`. */
export function readPatchedFunctions(object: ElfObject): Replacement[] {
  const functions = table(object, '.kpatch.funcs', FUNCTION.size);
  if (functions === undefined) return [];
  return Array.from({ length: functions.count }, (_, entry) => {
    const { symbol, addend } = functions.target(entry, FUNCTION.newAddress);
    return {
      name: functions.string(entry, FUNCTION.name),
      object: functions.string(entry, FUNCTION.objname),
      sympos: functions.u64(entry, FUNCTION.sympos),
      replacement: symbol,
      offset: addend,
    };
  });
}

export interface TableCallback extends PatchCallback {
  readonly object: string;
}

/**
 * The callbacks: entries of a pointer to the function and a pointer to the object's name. Error: `intermediate-malformed`.
 */
export function readCallbacks(object: ElfObject): TableCallback[] {
  return callbackPhases.flatMap((phase) => {
    const entries = table(object, callbackSection(phase), 16);
    if (entries === undefined) return [];
    return Array.from({ length: entries.count }, (_, entry) => {
      const { symbol, addend } = entries.target(entry, 0);
      return { phase, object: entries.string(entry, 8), symbol, offset: addend };
    });
  });
}

/**
 * The tables that wait for livepatch relocations (`struct kpatch_arch`: sec 0, objname 8). Error: `intermediate-malformed`.
 */
export function readArchSections(object: ElfObject): { section: Section; object: string }[] {
  const entries = table(object, '.kpatch.arch', 16);
  if (entries === undefined) return [];
  return Array.from({ length: entries.count }, (_, entry) => ({
    section: entries.target(entry, 0).section,
    object: entries.string(entry, 8),
  }));
}
