/** Writes the graph of `object.ts` as an ET_REL file. The same graph gives the same bytes. */
import { failure } from '../../base/errors/error.ts';
import { writeI64 } from './bytes.ts';
import { ET, SHF, SHN, SHT, SIZE, STB } from './constants.ts';
import { type ElfObject, type ElfSymbol, type Relocation, type Section, sizeOf } from './object.ts';

/** A section header and its content, in the order of the file. */
interface Output {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly addralign: number;
  readonly entsize: number;
  readonly link: number;
  readonly info: number;
  readonly data: Uint8Array;
  readonly size: number;
}

/**
 * Writes an object. Local symbols are put first (gABI), otherwise sections and symbols keep their order; relocations follow
 * their section; the tables come last. Error: `elf-unwritable` if a symbol or section is used but not in the object.
 */
export function writeObject(object: ElfObject): Uint8Array {
  return new Writer(object).write();
}

class Writer {
  readonly object: ElfObject;
  readonly #sections = new Map<Section, number>();
  readonly #relocationSections = new Map<Section, number>();
  readonly #symbols = new Map<ElfSymbol, number>();
  readonly #ordered: ElfSymbol[];
  readonly #locals: number;
  readonly #extended: boolean;
  readonly #symtab: number;

  constructor(object: ElfObject) {
    this.object = object;
    let next = 1;
    for (const section of object.sections) {
      this.#sections.set(section, next++);
      if (section.type !== SHT.RELA && section.relocations.length > 0) this.#relocationSections.set(section, next++);
    }
    this.#symtab = next;
    this.#extended = next + 4 >= SHN.LORESERVE;
    const locals = object.symbols.filter(({ bind }) => bind === STB.LOCAL);
    this.#locals = locals.length + 1;
    this.#ordered = [...locals, ...object.symbols.filter(({ bind }) => bind !== STB.LOCAL)];
    for (const [index, symbol] of this.#ordered.entries()) this.#symbols.set(symbol, index + 1);
    if (this.#symbols.size !== this.#ordered.length) throw unwritable('a symbol is in the table twice');
    if (this.#sections.size !== object.sections.length) throw unwritable('a section is in the object twice');
  }

  write(): Uint8Array {
    const outputs: Output[] = [];
    for (const section of this.object.sections) {
      outputs.push(this.#outputOf(section));
      if (this.#relocationSections.has(section)) outputs.push(this.#relocationsOf(section));
    }
    const strings = new StringBuilder();
    const { table, indices } = this.#symbolTable(strings);
    outputs.push(
      {
        ...plain('.symtab', SHT.SYMTAB, table),
        addralign: 8,
        entsize: SIZE.SYM,
        link: this.#symtab + 1,
        info: this.#locals,
      },
      plain('.strtab', SHT.STRTAB, strings.bytes()),
    );
    if (this.#extended) {
      outputs.push({
        ...plain('.symtab_shndx', SHT.SYMTAB_SHNDX, indices),
        addralign: 4,
        entsize: 4,
        link: this.#symtab,
      });
    }
    return this.#file(outputs);
  }

  #indexOf(section: Section, user: string): number {
    const index = this.#sections.get(section);
    if (index === undefined) throw unwritable(`${user} uses section ${section.name}, which is not in the object`);
    return index;
  }

  #symbolIndex(symbol: ElfSymbol | undefined, user: string): number {
    if (symbol === undefined) return 0;
    const index = this.#symbols.get(symbol);
    if (index === undefined) throw unwritable(`${user} uses symbol ${symbol.name}, which is not in the object`);
    return index;
  }

  #outputOf(section: Section): Output {
    const { name, type, flags, addralign, entsize } = section;
    const base = { name, type, flags, addralign, entsize, link: 0, info: 0, data: section.data, size: sizeOf(section) };
    if (type === SHT.RELA) {
      const data = this.#entries(section.relocations, name);
      if (section.target === undefined) throw unwritable(`${name} applies to no section`);
      const info = this.#indexOf(section.target, name);
      return { ...base, entsize: SIZE.RELA, link: this.#symtab, info, data, size: data.length };
    }
    if (section.group !== undefined) {
      const data = this.#groupData(section, section.group.members, section.group.flags);
      const info = this.#symbolIndex(section.group.signature, name);
      return { ...base, entsize: 4, link: this.#symtab, info, data, size: data.length };
    }
    if (section.link === undefined) return base;
    return { ...base, link: this.#indexOf(section.link, name) };
  }

  #groupData(section: Section, members: readonly Section[], flags: number): Uint8Array {
    const words = [flags];
    for (const member of members) {
      words.push(this.#indexOf(member, section.name));
      const relocations = this.#relocationSections.get(member);
      if (relocations !== undefined) words.push(relocations);
    }
    const data = new Uint8Array(words.length * 4);
    const view = new DataView(data.buffer);
    for (const [index, word] of words.entries()) view.setUint32(index * 4, word, this.object.littleEndian);
    return data;
  }

  #relocationsOf(section: Section): Output {
    const data = this.#entries(section.relocations, section.name);
    return {
      name: `.rela${section.name}`,
      type: SHT.RELA,
      flags: SHF.INFO_LINK | (section.flags & SHF.GROUP),
      addralign: 8,
      entsize: SIZE.RELA,
      link: this.#symtab,
      info: this.#indexOf(section, section.name),
      data,
      size: data.length,
    };
  }

  #entries(relocations: readonly Relocation[], user: string): Uint8Array {
    const data = new Uint8Array(relocations.length * SIZE.RELA);
    const view = new DataView(data.buffer);
    const le = this.object.littleEndian;
    for (const [index, { offset, type, symbol, addend }] of relocations.entries()) {
      const at = index * SIZE.RELA;
      writeI64(view, at, offset, le);
      view.setUint32(at + (le ? 8 : 12), type, le);
      view.setUint32(at + (le ? 12 : 8), this.#symbolIndex(symbol, user), le);
      writeI64(view, at + 16, addend, le);
    }
    return data;
  }

  #symbolTable(strings: StringBuilder): { table: Uint8Array; indices: Uint8Array } {
    const count = this.#ordered.length + 1;
    const table = new Uint8Array(count * SIZE.SYM);
    const view = new DataView(table.buffer);
    const indices = new Uint8Array(this.#extended ? count * 4 : 0);
    const indexView = new DataView(indices.buffer);
    const le = this.object.littleEndian;
    for (const [position, symbol] of this.#ordered.entries()) {
      const at = (position + 1) * SIZE.SYM;
      view.setUint32(at, strings.add(symbol.name), le);
      view.setUint8(at + 4, (symbol.bind << 4) | (symbol.type & 0xf));
      view.setUint8(at + 5, symbol.other);
      const index = this.#shndx(symbol);
      const long = typeof symbol.section === 'object' && index >= SHN.LORESERVE;
      view.setUint16(at + 6, long ? SHN.XINDEX : index, le);
      if (long) indexView.setUint32((position + 1) * 4, index, le);
      writeI64(view, at + 8, symbol.value, le);
      writeI64(view, at + 16, symbol.size, le);
    }
    return { table, indices };
  }

  #shndx({ section, name }: ElfSymbol): number {
    if (typeof section === 'object') return this.#indexOf(section, `symbol ${name}`);
    if (typeof section === 'number') return section;
    return { undef: SHN.UNDEF, abs: SHN.ABS, common: SHN.COMMON }[section];
  }

  #file(outputs: readonly Output[]): Uint8Array {
    const { littleEndian: le } = this.object;
    const names = new StringBuilder();
    const nameOffsets = outputs.map(({ name }) => names.add(name));
    const ownName = names.add('.shstrtab');
    const all = [...outputs, plain('.shstrtab', SHT.STRTAB, names.bytes())];
    nameOffsets.push(ownName);
    let offset: number = SIZE.EHDR;
    const offsets = all.map(({ addralign, type, size }) => {
      // The alignment is for memory; in the file 16 bytes suffice, and a large one would only make it large.
      offset = align(offset, Math.min(16, Math.max(1, addralign)));
      const at = offset;
      if (type !== SHT.NOBITS) offset += size;
      return at;
    });
    const headers = align(offset, 8);
    const bytes = new Uint8Array(headers + (all.length + 1) * SIZE.SHDR);
    const view = new DataView(bytes.buffer);
    const count = all.length + 1;
    this.#header(bytes, view, headers, count);
    if (count >= SHN.LORESERVE) {
      writeI64(view, headers + 32, count, le);
      view.setUint32(headers + 40, count - 1, le);
    }
    for (const [index, output] of all.entries()) {
      const at = headers + (index + 1) * SIZE.SHDR;
      view.setUint32(at, nameOffsets[index]!, le);
      view.setUint32(at + 4, output.type, le);
      writeI64(view, at + 8, output.flags, le);
      writeI64(view, at + 24, offsets[index]!, le);
      writeI64(view, at + 32, output.size, le);
      view.setUint32(at + 40, output.link, le);
      view.setUint32(at + 44, output.info, le);
      writeI64(view, at + 48, output.addralign, le);
      writeI64(view, at + 56, output.entsize, le);
      if (output.type !== SHT.NOBITS) bytes.set(output.data, offsets[index]!);
    }
    return bytes;
  }

  #header(bytes: Uint8Array, view: DataView, headers: number, count: number): void {
    const { littleEndian: le, machine, flags, osabi } = this.object;
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, le ? 1 : 2, 1, osabi]);
    view.setUint16(16, ET.REL, le);
    view.setUint16(18, machine, le);
    view.setUint32(20, 1, le);
    writeI64(view, 40, headers, le);
    view.setUint32(48, flags, le);
    view.setUint16(52, SIZE.EHDR, le);
    view.setUint16(58, SIZE.SHDR, le);
    view.setUint16(60, count >= SHN.LORESERVE ? 0 : count, le);
    view.setUint16(62, count - 1 >= SHN.LORESERVE ? SHN.XINDEX : count - 1, le);
  }
}

/** Collects strings for a string table; each is stored once. */
class StringBuilder {
  readonly #parts: Buffer[] = [Buffer.from([0])];
  readonly #offsets = new Map<string, number>([['', 0]]);
  #size = 1;

  add(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const offset = this.#size;
    const part = Buffer.from(`${text}\0`, 'latin1');
    this.#parts.push(part);
    this.#size += part.length;
    this.#offsets.set(text, offset);
    return offset;
  }

  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

function plain(name: string, type: number, data: Uint8Array): Output {
  return { name, type, flags: 0, addralign: 1, entsize: 0, link: 0, info: 0, data, size: data.length };
}

function align(offset: number, to: number): number {
  return Math.ceil(offset / to) * to;
}

function unwritable(problem: string): Error {
  return failure('elf-unwritable', { problem });
}
