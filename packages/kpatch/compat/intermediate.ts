/**
 * The intermediate object of create-diff-object: sections that tell the module linker what livepatch has to do. Their format is that of dynup/kpatch
 * (kpatch-intermediate.h, kpatch-patch.h), so that tools on either side can be exchanged:
 *
 *     struct kpatch_patch_func  { new_addr, new_size, old_addr, old_size, sympos: u64; name, objname: char * }
 *     struct kpatch_symbol      { src, sympos: u64; bind, type: u8; name, objname: char * }
 *     struct kpatch_relocation  { dest: u64; type: u32; external: s32; addend: s64; objname: char *; ksym }
 *
 * Pointers are relocations: to the function, to `.kpatch.strings`, to `.kpatch.symbols`.
 */
import { callbackSection, type ExtractedFunction, type KernelRelocation, type UnitPatch } from '../differ/patch.ts';
import { writeI64 } from '../formats/elf/bytes.ts';
import { SHF, STB, STT } from '../formats/elf/constants.ts';
import { type ElfObject, type ElfSymbol, newSection, newSymbol, type Section } from '../formats/elf/object.ts';
import { writeObject } from '../formats/elf/write-object.ts';
import { architectureOf } from '../platform/registry.ts';

const FUNCTION = { size: 56, newSize: 8, oldAddress: 16, oldSize: 24, sympos: 32, name: 40, object: 48 } as const;
const SYMBOL = { size: 40, src: 0, sympos: 8, bind: 16, type: 17, name: 24, object: 32 } as const;
const RELOCATION = { size: 40, dest: 0, type: 8, external: 12, addend: 16, object: 24, symbol: 32 } as const;
/** struct kpatch_arch { u64 sec; char *objname } */
const ARCH = { size: 16, section: 0, object: 8 } as const;
/** struct kpatch_*_callback { callback; char *objname } */
const CALLBACK = { size: 16, object: 8 } as const;

/**
 * The intermediate object. `archTables` tells whether the kernel needs to be told which tables livepatch has to apply (before 5.8,
 * `.klp.arch.*`).
 */
export function intermediateObject(patch: UnitPatch, archTables = false): Uint8Array {
  return writeObject(new Intermediate(patch).make(archTables));
}

class Intermediate {
  readonly #patch: UnitPatch;
  readonly #address64: number;
  readonly #sectionSymbols = new Map<Section, ElfSymbol>();
  readonly #texts: Buffer[] = [];
  readonly #offsets = new Map<string, number>();
  readonly #strings = newSection({ name: '.kpatch.strings', flags: SHF.ALLOC, addralign: 1 });
  #size = 0;

  constructor(patch: UnitPatch) {
    this.#patch = patch;
    this.#address64 = architectureOf(patch.elf).address64;
    for (const symbol of patch.elf.symbols) {
      if (symbol.type === STT.SECTION && typeof symbol.section === 'object')
        this.#sectionSymbols.set(symbol.section, symbol);
    }
  }

  make(archTables: boolean): ElfObject {
    const { elf, functions, relocations } = this.#patch;
    const added = [this.#functions(functions), ...this.#relocations(relocations)];
    if (archTables) added.push(...this.#archTables());
    for (const section of elf.sections) {
      if (section.name.startsWith(callbackSection(''))) this.#nameObject(section);
    }
    this.#strings.data = new Uint8Array(Buffer.concat(this.#texts));
    elf.sections.push(...added, this.#strings);
    elf.symbols.push(this.#function_symbol(added[0]!));
    return elf;
  }

  /** dynup's tools expect a symbol for the section of functions. */
  #function_symbol(section: Section): ElfSymbol {
    return newSymbol({ name: '.kpatch.funcs', bind: STB.LOCAL, type: STT.OBJECT, section, size: section.data.length });
  }

  #functions(functions: readonly ExtractedFunction[]): Section {
    const section = this.#records('.kpatch.funcs', functions.length, FUNCTION.size);
    const view = viewOf(section);
    for (const [index, { symbol, name, oldAddress, oldSize, newSize, sympos }] of functions.entries()) {
      const at = index * FUNCTION.size;
      this.#put(section, view, at + FUNCTION.newSize, newSize);
      view.setBigUint64(at + FUNCTION.oldAddress, oldAddress, this.#littleEndian);
      this.#put(section, view, at + FUNCTION.oldSize, oldSize);
      this.#put(section, view, at + FUNCTION.sympos, sympos);
      section.relocations.push({ offset: at, type: this.#address64, symbol, addend: 0 });
      this.#text(section, at + FUNCTION.name, name);
      this.#text(section, at + FUNCTION.object, this.#patch.object);
    }
    return section;
  }

  #relocations(relocations: readonly KernelRelocation[]): Section[] {
    // One symbol for each relocation: create-klp-module of dynup/kpatch refuses tables of different lengths.
    const symbolSection = this.#symbols(relocations);
    const section = this.#records('.kpatch.relocations', relocations.length, RELOCATION.size);
    const view = viewOf(section);
    for (const [index, relocation] of relocations.entries()) {
      const { section: target, offset, type, addend, symbol } = relocation;
      const at = index * RELOCATION.size;
      view.setUint32(at + RELOCATION.type, type, this.#littleEndian);
      const external = this.#patch.object !== 'vmlinux' && symbol.exported === true ? 1 : 0;
      view.setInt32(at + RELOCATION.external, external, this.#littleEndian);
      this.#put(section, view, at + RELOCATION.addend, addend);
      this.#pointer(section, at + RELOCATION.dest, this.#sectionSymbol(target), offset);
      this.#text(section, at + RELOCATION.object, this.#patch.object);
      this.#pointer(section, at + RELOCATION.symbol, this.#sectionSymbol(symbolSection), index * SYMBOL.size);
    }
    return [symbolSection, section];
  }

  #symbols(symbols: readonly KernelRelocation[]): Section {
    const section = this.#records('.kpatch.symbols', symbols.length, SYMBOL.size);
    const view = viewOf(section);
    for (const [index, { symbol }] of symbols.entries()) {
      const at = index * SYMBOL.size;
      view.setBigUint64(at + SYMBOL.src, symbol.address ?? 0n, this.#littleEndian);
      this.#put(section, view, at + SYMBOL.sympos, symbol.sympos);
      view.setUint8(at + SYMBOL.bind, symbol.bind);
      view.setUint8(at + SYMBOL.type, symbol.type);
      this.#text(section, at + SYMBOL.name, symbol.name);
      this.#text(section, at + SYMBOL.object, symbol.object);
    }
    return section;
  }

  #archTables(): Section[] {
    const { elf } = this.#patch;
    const early = architectureOf(elf).loader?.early ?? {};
    const tables = elf.sections.filter(({ name }) => name in early);
    if (tables.length === 0) return [];
    const section = this.#records('.kpatch.arch', tables.length, ARCH.size);
    for (const [index, table] of tables.entries()) {
      this.#pointer(section, index * ARCH.size + ARCH.section, this.#sectionSymbol(table), 0);
      this.#text(section, index * ARCH.size + ARCH.object, this.#patch.object);
    }
    return [section];
  }

  /** Callbacks are called for an object: the differ writes which. */
  #nameObject(section: Section): void {
    for (let at = 0; at + CALLBACK.size <= section.data.length; at += CALLBACK.size) {
      section.relocations = section.relocations.filter(({ offset }) => offset !== at + CALLBACK.object);
      this.#text(section, at + CALLBACK.object, this.#patch.object);
    }
    section.relocations.sort((a, b) => a.offset - b.offset);
  }

  get #littleEndian(): boolean {
    return this.#patch.elf.littleEndian;
  }

  #records(name: string, count: number, size: number): Section {
    return newSection({ name, flags: SHF.ALLOC, addralign: 8, entsize: size, data: new Uint8Array(count * size) });
  }

  #put(_section: Section, view: DataView, offset: number, value: number): void {
    writeI64(view, offset, value, this.#littleEndian);
  }

  #text(section: Section, offset: number, text: string): void {
    let at = this.#offsets.get(text);
    if (at === undefined) {
      at = this.#size;
      const bytes = Buffer.from(`${text}\0`, 'latin1');
      this.#texts.push(bytes);
      this.#size += bytes.length;
      this.#offsets.set(text, at);
    }
    this.#pointer(section, offset, this.#sectionSymbol(this.#strings), at);
  }

  #sectionSymbol(section: Section): ElfSymbol {
    const symbol =
      this.#sectionSymbols.get(section) ?? newSymbol({ name: '', bind: STB.LOCAL, type: STT.SECTION, section });
    if (!this.#sectionSymbols.has(section)) this.#patch.elf.symbols.push(symbol);
    this.#sectionSymbols.set(section, symbol);
    return symbol;
  }

  #pointer(section: Section, offset: number, symbol: ElfSymbol, addend: number): void {
    section.relocations.push({ offset, type: this.#address64, symbol, addend });
  }
}

function viewOf({ data }: Section): DataView {
  return new DataView(data.buffer, data.byteOffset, data.length);
}
