/** Builds the output object from the included parts and their references. */
import { SHF, SHT, STB, STT } from '../../formats/elf/constants.ts';
import {
  type ElfObject,
  type ElfSymbol,
  newSection,
  newSymbol,
  type Relocation,
  type Section,
  sizeOf,
} from '../../formats/elf/object.ts';
import { codeOf } from '../parts/code.ts';
import type { Model, Part } from '../parts/part.ts';
import type { Resolution } from '../parts/symbols/symbols.ts';
import { type Entry, entryBytes } from '../parts/tables/tables.ts';
import { contentOf } from '../parts/target.ts';
import type { KernelReferent, KernelRelocation } from '../patch.ts';
import type { Decision } from '../select/references.ts';
import type { Selection } from '../select/select.ts';

export interface Extraction {
  readonly object: ElfObject;
  readonly relocations: readonly Omit<KernelRelocation, 'object'>[];
  /** The symbol of a travelling function in the output. */
  readonly symbolOf: (part: Part) => ElfSymbol | undefined;
}

export function extract(model: Model, selection: Selection): Extraction {
  return new Extractor(model, selection).run();
}

class Extractor {
  readonly #model: Model;
  readonly #selection: Selection;
  readonly #sections: Section[] = [];
  readonly #symbols: ElfSymbol[] = [];
  readonly #copies = new Map<ElfSymbol, ElfSymbol>();
  readonly #homes = new Map<Part, Section>();
  readonly #sectionSymbols = new Map<Section, ElfSymbol>();
  readonly #undefined = new Map<string, ElfSymbol>();
  /** Offset of each string or constant. */
  readonly #contents = new Map<Section, { home: Section; offsets: Map<number, number> }>();
  readonly #relocations: Omit<KernelRelocation, 'object'>[] = [];
  /** Where each entry is in its table. */
  readonly #entries = new Map<Entry, { readonly home: Section; readonly at: number }>();

  constructor(model: Model, selection: Selection) {
    this.#model = model;
    this.#selection = selection;
  }

  run(): Extraction {
    const { parts, entries, contents } = this.#selection;
    for (const { name, type } of this.#model.object.symbols) {
      if (type === STT.FILE) this.#symbols.push(newSymbol({ name, type, bind: STB.LOCAL, section: 'abs' }));
    }
    for (const part of parts) this.#place(part);
    for (const [section, places] of contents) this.#placeContents(section, places);
    const tables = this.#placeEntries(entries);
    for (const part of parts) this.#relocate(part);
    for (const { entry, home, at } of tables) this.#relocateEntry(entry, home, at);
    const { file, littleEndian, machine, flags, osabi } = this.#model.object;
    return {
      object: { file, littleEndian, machine, flags, osabi, sections: this.#sections, symbols: this.#symbols },
      relocations: this.#relocations,
      symbolOf: (part) => (part.symbol === undefined ? undefined : this.#copies.get(part.symbol)),
    };
  }

  #place(part: Part): void {
    const { section, start, end } = part;
    const nobits = section.type === SHT.NOBITS;
    const home = newSection({
      name: outputName(part),
      type: section.type,
      flags: section.flags & ~(SHF.GROUP | SHF.LINK_ORDER | SHF.MERGE | SHF.STRINGS),
      addralign: part.shared ? alignmentAt(section.addralign, start) : section.addralign,
      data: nobits ? section.data : codeOf(part).bytes,
      nobitsSize: nobits ? end - start : 0,
    });
    this.#sections.push(home);
    this.#homes.set(part, home);
    for (const symbol of part.symbols) {
      const copy = { ...symbol, section: home, value: symbol.value - start, name: outputSymbolName(part, symbol) };
      if (this.#isPrivate(part)) copy.bind = STB.LOCAL;
      this.#copies.set(symbol, copy);
      this.#symbols.push(copy);
    }
  }

  /** Copies of functions that stay in the kernel, and thunks, must not be taken for them by other objects. */
  #isPrivate(part: Part): boolean {
    if (part.class !== 'text') return false;
    return this.#model.arch.isThunk?.(part.name) === true || this.#selection.copies.has(part);
  }

  #placeContents(section: Section, places: ReadonlySet<number>): void {
    const ends = (section.flags & SHF.STRINGS) === 0 ? 0 : section.entsize;
    const alignment = Math.max(1, section.addralign);
    const offsets = new Map<number, number>();
    const known = new Map<string, number>();
    const pieces: Uint8Array[] = [];
    let size = 0;
    for (const at of [...places].sort((a, b) => a - b)) {
      const content = contentOf(section, at);
      const key = Buffer.from(content).toString('latin1');
      let offset = known.get(key);
      if (offset === undefined) {
        // Strings of aligned sections are aligned; the end of one may be referred to alone and then needs it no less.
        const padding = (alignment - (size % alignment)) % alignment;
        offset = size + padding;
        pieces.push(new Uint8Array(padding), content, new Uint8Array(ends));
        size = offset + content.length + ends;
        known.set(key, offset);
      }
      offsets.set(at, offset);
    }
    const home = newSection({
      name: section.name,
      // Not mergeable: references with addends must not be taken apart by a linker.
      flags: section.flags & ~(SHF.MERGE | SHF.STRINGS | SHF.GROUP),
      addralign: section.addralign,
      data: new Uint8Array(Buffer.concat(pieces)),
    });
    this.#sections.push(home);
    this.#contents.set(section, { home, offsets });
  }

  #placeEntries(entries: readonly Entry[]): { entry: Entry; home: Section; at: number }[] {
    const tables = new Map<string, { home: Section; parallel: Section | undefined; list: Entry[] }>();
    const keys = new Map<Part, number>();
    for (const entry of entries) {
      // A table with SHF_LINK_ORDER is about one section; linkers refuse to join it with one that is about none.
      const ordered = (entry.section.flags & SHF.LINK_ORDER) !== 0;
      if (!keys.has(entry.part)) keys.set(entry.part, keys.size);
      const key = ordered ? `${entry.section.name} ${keys.get(entry.part)}` : entry.section.name;
      const table = tables.get(key);
      if (table !== undefined) table.list.push(entry);
      else {
        const link = ordered ? this.#homes.get(entry.part) : undefined;
        const home = tableSection(entry.section, link);
        const parallel = entry.parallel === undefined ? undefined : tableSection(entry.parallel.section, link);
        tables.set(key, { home, parallel, list: [entry] });
      }
    }
    const placed: { entry: Entry; home: Section; at: number }[] = [];
    for (const { home, parallel, list } of tables.values()) {
      let at = 0;
      for (const entry of list) {
        placed.push({ entry, home, at });
        this.#entries.set(entry, { home, at });
        at += entry.end - entry.start;
      }
      home.data = concat(list.map(entryBytes));
      this.#sections.push(home);
      if (parallel === undefined) continue;
      parallel.data = concat(list.map((entry) => slice(entry.parallel!)));
      this.#sections.push(parallel);
    }
    return placed;
  }

  #relocate(part: Part): void {
    const home = this.#homes.get(part)!;
    for (const relocation of codeOf(part).relocations) this.#add(home, relocation, relocation.offset - part.start);
  }

  #relocateEntry(entry: Entry, home: Section, at: number): void {
    for (const relocation of entry.relocations) {
      const offset = relocation.offset - entry.start + at;
      const decision = this.#selection.decisions.get(relocation);
      if (decision?.to !== 'entry') this.#add(home, relocation, offset);
      else {
        const symbol = this.#sectionSymbol(home);
        home.relocations.push({ offset, type: relocation.type, symbol, addend: at + decision.offset });
      }
    }
  }

  #add(home: Section, relocation: Relocation, offset: number): void {
    const decision = this.#selection.decisions.get(relocation) ?? { to: 'keep' };
    const { type } = relocation;
    if (decision.to === 'livepatch') {
      const { resolution, addend, symbol } = decision;
      this.#relocations.push({ section: home, offset, type, addend, symbol: referentOf(resolution, symbol) });
      return;
    }
    const { symbol, addend } = this.#reference(relocation, decision);
    home.relocations.push({ offset, type, symbol, addend });
  }

  #reference(
    relocation: Relocation,
    decision: Exclude<Decision, { to: 'livepatch' }>,
  ): { symbol: ElfSymbol | undefined; addend: number } {
    const { symbol, addend } = relocation;
    switch (decision.to) {
      case 'keep':
        return { symbol: symbol === undefined ? undefined : this.#absolute(symbol), addend };
      case 'ordinary':
        return { symbol: this.#undefinedSymbol(decision.name, decision.symbol), addend: decision.addend };
      case 'entry':
        throw new TypeError('a reference to an entry outside of a table');
      case 'table': {
        const { home, at } = this.#entries.get(decision.entry)!;
        const moved = at - decision.entry.start;
        return { symbol: this.#sectionSymbol(home), addend: addend + (symbol?.value ?? 0) + moved };
      }
      case 'content': {
        const { home, offsets } = this.#contents.get(decision.section)!;
        const moved = offsets.get(decision.at)! - decision.at;
        return { symbol: this.#sectionSymbol(home), addend: addend + (symbol?.value ?? 0) + moved };
      }
      case 'part': {
        const copy = symbol === undefined ? undefined : this.#copies.get(symbol);
        const home = this.#homes.get(decision.part);
        if (copy !== undefined && copy.section === home) return { symbol: copy, addend };
        if (home === undefined) return { symbol: undefined, addend };
        return { symbol: this.#sectionSymbol(home), addend: addend + (symbol?.value ?? 0) - decision.part.start };
      }
    }
  }

  /**
   * The symbol of a reference that is kept as it is. Marks relocate nothing, so what they name in the object need not be
   * there: objtool leaves one (R_X86_64_NONE) where it made a jump to another section a nop.
   */
  #absolute(symbol: ElfSymbol): ElfSymbol | undefined {
    if (typeof symbol.section === 'object') return undefined;
    let copy = this.#copies.get(symbol);
    if (copy === undefined) {
      copy = { ...symbol };
      this.#copies.set(symbol, copy);
      this.#symbols.push(copy);
    }
    return copy;
  }

  #undefinedSymbol(name: string, like: ElfSymbol): ElfSymbol {
    let symbol = this.#undefined.get(name);
    if (symbol === undefined) {
      symbol = newSymbol({ name, bind: like.bind === STB.WEAK ? STB.WEAK : STB.GLOBAL });
      this.#undefined.set(name, symbol);
      this.#symbols.push(symbol);
    }
    return symbol;
  }

  #sectionSymbol(section: Section): ElfSymbol {
    let symbol = this.#sectionSymbols.get(section);
    if (symbol === undefined) {
      symbol = newSymbol({ name: '', bind: STB.LOCAL, type: STT.SECTION, section });
      this.#sectionSymbols.set(section, symbol);
      this.#symbols.push(symbol);
    }
    return symbol;
  }
}

/** `like` has the binding and type of the symbol as the object has it. */
function referentOf({ name, object, sympos, exported, symbol }: Resolution, like: ElfSymbol): KernelReferent {
  const address = symbol?.address;
  const known = address === undefined ? {} : { address };
  return { name, object, sympos, bind: like.bind, type: like.type, exported, ...known };
}

/** Functions that shared a section get one of their own, as the kernel treats the names of such sections specially. */
function outputName({ section, shared, class: kind, symbol }: Part): string {
  if (!shared || kind !== 'text' || symbol === undefined) return section.name;
  return `.text.${symbol.name}`;
}

/** A function is called in the module as the kernel calls it, whatever number the compiler gave it this time. */
function outputSymbolName(part: Part, symbol: ElfSymbol): string {
  const twin = part.twin?.symbol;
  return symbol === part.symbol && twin !== undefined ? twin.name : symbol.name;
}

function alignmentAt(alignment: number, offset: number): number {
  let fits = Math.max(1, alignment);
  while (offset % fits !== 0) fits /= 2;
  return fits;
}

function tableSection(section: Section, link: Section | undefined): Section {
  return newSection({
    name: section.name,
    type: section.type,
    flags: section.flags & ~(SHF.GROUP | (link === undefined ? SHF.LINK_ORDER : 0)),
    link,
    addralign: section.addralign,
    entsize: section.entsize,
  });
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

function slice({ section, start, end }: { section: Section; start: number; end: number }): Uint8Array {
  return section.data.subarray(start, Math.min(end, sizeOf(section)));
}
