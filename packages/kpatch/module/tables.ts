/**
 * Which functions a livepatch module replaces, read from the module itself: from the static tables of our glue, from those
 * of a module that was written by hand, or from the `.kpatch.funcs` that modules of dynup/kpatch carry. What the module
 * does, whatever its manifest says.
 */
import { SHF, STT } from '../formats/elf/constants.ts';
import { definedIn, type ElfObject, type ElfSymbol, type Relocation, type Section } from '../formats/elf/object.ts';
import type { ModuleContent } from './content.ts';
import { readPatchedFunctions } from './intermediate.ts';

export interface ReplacedFunction {
  readonly name: string;
  /** `vmlinux` or a module. */
  readonly object: string;
  /** See `ManifestFunction`. */
  readonly sympos: number;
}

/** The start of `struct klp_func` on 64-bit machines: old_name 0, new_func 8, old_sympos 16 (include/linux/livepatch.h). */
const FUNCTION = { newFunction: 8, sympos: 16 } as const;
/** The start of `struct klp_object`: name 0 (no pointer: vmlinux), funcs 8. */
const OBJECT = { functions: 8 } as const;

/** The start of `struct klp_patch`: mod 0, objs 8. */
const PATCH = { objects: 8 } as const;

/**
 * What a module file replaces: by its manifest, or else by its tables; undefined if it has neither. Errors:
 * `manifest-damaged`, `intermediate-malformed`, those of reading ELF.
 */
export function replacedBy(module: ModuleContent): readonly ReplacedFunction[] | undefined {
  return module.manifest?.functions ?? replacedFunctions(module.object);
}

/**
 * The objects that the livepatch relocations of a module file name: sections `.klp.rela.OBJECT.SECTION`
 * (Documentation/livepatch/module-elf-format.rst).
 */
export function relocatedObjects({ elf }: ModuleContent): string[] {
  return elf.sections.flatMap(({ name }) => /^\.klp\.rela\.([^.]+)\./.exec(name)?.[1] ?? []);
}

/**
 * The functions, in the order of the tables; undefined if the module has none of these. Error: `intermediate-malformed`.
 */
export function replacedFunctions(module: ElfObject): ReplacedFunction[] | undefined {
  const objects = module.symbols.find(({ name }) => name === 'livepatch_objects');
  if (objects !== undefined) return ofObjects(module, objects);
  if (!module.sections.some(({ name }) => name === '.kpatch.funcs')) return writtenByHand(module);
  return readPatchedFunctions(module).map(({ name, object, sympos }) => ({ name, object, sympos }));
}

/**
 * As the kernel's samples/livepatch do it: some static `struct klp_patch`, which begins with THIS_MODULE and its objects.
 */
function writtenByHand(module: ElfObject): ReplacedFunction[] | undefined {
  const places = dataSymbols(module);
  for (const { relocations } of module.sections) {
    const byOffset = new Map(relocations.map((relocation) => [relocation.offset, relocation]));
    for (const { offset, symbol } of relocations) {
      if (symbol?.name !== '__this_module') continue;
      const pointer = byOffset.get(offset + PATCH.objects);
      const objects = pointer === undefined ? undefined : places.get(placeOf(...targetOf(pointer)));
      const functions = objects === undefined ? [] : ofObjects(module, objects, places);
      if (functions.length > 0) return functions;
    }
  }
  return undefined;
}

/** The variables of a module by their place. */
function dataSymbols(module: ElfObject): Map<string, ElfSymbol> {
  const variables = module.symbols.filter(({ type, section }) => type === STT.OBJECT && typeof section === 'object');
  return new Map(variables.map((symbol) => [placeOf(definedIn(symbol), symbol.value), symbol]));
}

/**
 * True if the kernel calls functions of the module before or after an object is patched, even if none of it is replaced.
 */
export function hasCallbacks(module: ElfObject): boolean {
  const objects = module.symbols.find(({ name }) => name === 'livepatch_objects');
  const targets = objects === undefined ? [] : pointersIn(objects).map((pointer) => targetOf(pointer)[0]);
  return targets.some(isCode);
}

const isCode = (section: Section | undefined): boolean =>
  section !== undefined && (section.flags & SHF.EXECINSTR) !== 0;

/** Of an array of `struct klp_object`. */
function ofObjects(module: ElfObject, objects: ElfSymbol, tables = dataSymbols(module)): ReplacedFunction[] {
  const result: ReplacedFunction[] = [];
  const pointers = new Map(pointersIn(objects).map((pointer) => [pointer.offset, pointer]));
  for (const [offset, pointer] of pointers) {
    const table = tables.get(placeOf(...targetOf(pointer)));
    if (table === undefined) continue;
    const name = pointers.get(offset - OBJECT.functions);
    const object = name === undefined ? 'vmlinux' : (stringAt(name) ?? '');
    result.push(...ofTable(module, table).map((entry) => ({ object, ...entry })));
  }
  return result;
}

/** The entries of an array of `struct klp_func`: wherever a pointer to a name is followed by one to the new function. */
function ofTable(module: ElfObject, table: ElfSymbol): { name: string; sympos: number }[] {
  const data = definedIn(table)!.data;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const pointers = pointersIn(table);
  const code = new Set(pointers.flatMap((pointer) => (isCode(targetOf(pointer)[0]) ? [pointer.offset] : [])));
  return pointers.flatMap((pointer) => {
    const { offset } = pointer;
    const name = code.has(offset + FUNCTION.newFunction) ? stringAt(pointer) : undefined;
    if (name === undefined || offset + FUNCTION.sympos + 8 > data.length) return [];
    return [{ name, sympos: Number(view.getBigUint64(offset + FUNCTION.sympos, module.littleEndian)) }];
  });
}

function pointersIn(symbol: ElfSymbol): Relocation[] {
  const section = definedIn(symbol);
  const end = symbol.value + symbol.size;
  const inside = section?.relocations.filter(({ offset }) => offset >= symbol.value && offset < end) ?? [];
  return [...inside].sort((a, b) => a.offset - b.offset);
}

function targetOf({ symbol, addend }: Relocation): [section: Section | undefined, offset: number] {
  return symbol === undefined ? [undefined, 0] : [definedIn(symbol), symbol.value + addend];
}

const numbers = new WeakMap<Section, number>();
let next = 0;

/** A key for a place in a section. */
function placeOf(section: Section | undefined, offset: number): string {
  if (section === undefined) return '';
  const number = numbers.get(section) ?? next++;
  numbers.set(section, number);
  return `${number}:${offset}`;
}

function stringAt(pointer: Relocation): string | undefined {
  const [section, offset] = targetOf(pointer);
  const end = section === undefined || offset < 0 ? -1 : section.data.indexOf(0, offset);
  return end < 0 ? undefined : Buffer.from(section!.data.subarray(offset, end)).toString('latin1');
}
