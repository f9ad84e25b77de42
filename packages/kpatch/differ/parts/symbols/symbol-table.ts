/** Symbol tables of the patched object in the forms that people have: readelf's text, kallsyms, an ELF file. */
import { SHF, SHN, STB, STT } from '../../../formats/elf/constants.ts';
import { ElfFile } from '../../../formats/elf/file.ts';
import type { ElfObject } from '../../../formats/elf/object.ts';
import { symbolKinds } from '../../../formats/symbol-kind.ts';
import type { TargetSymbol } from '../../options.ts';

/** Reads a table in any of the forms. `bytes` is the file's content, `file` its name for messages. */
export function readSymbolTable(bytes: Uint8Array, file: string): TargetSymbol[] {
  if (bytes[0] === 0x7f && bytes[1] === 0x45) return symbolsOfFile(new ElfFile(bytes, file));
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  return /^\s*\d+: [0-9a-f]{16}\s/m.test(text) ? parseReadelf(text) : parseKallsyms(text);
}

/** The text of `readelf -s --wide`: number, value, size, type, bind, visibility, section, name. */
export function parseReadelf(text: string): TargetSymbol[] {
  const symbols: TargetSymbol[] = [];
  let source = '';
  for (const line of text.split('\n')) {
    const fields =
      /^\s*\d+:\s+([0-9a-f]+)\s+(0x[0-9a-f]+|\d+)\s+(\w+)\s+(\w+)\s+\w+\s+(?:\[.*?\]\s+)?(\w+)(?:\s+(\S+))?/.exec(line);
    if (fields === null) continue;
    const [, value = '', size = '', type = '', bind = '', section = '', name = ''] = fields;
    if (type === 'FILE') source = name;
    if (type === 'FILE' || type === 'SECTION' || section === 'UND' || name === '') continue;
    const local = bind === 'LOCAL';
    symbols.push({
      name,
      kind: type === 'FUNC' || type === 'IFUNC' ? 'function' : type === 'OBJECT' ? 'object' : 'other',
      bind: local ? 'local' : 'global',
      weak: bind === 'WEAK',
      address: BigInt(`0x${value}`),
      size: Number(size),
      ...(local && source !== '' ? { file: source } : {}),
    });
  }
  return symbols;
}

/** `/proc/kallsyms` or `System.map`: address, type letter (lower case: local), name. Lines of modules are left out. */
export function parseKallsyms(text: string): TargetSymbol[] {
  const lines = [...text.matchAll(/^([0-9a-f]+) ([a-zA-Z]) (\S+)$/gm)].map(([, address, type, name]) => {
    return { address: BigInt(`0x${address}`), type: type!, name: name! };
  });
  const addresses = new Map(lines.map(({ name, address }) => [name, address]));
  const kindOf = symbolKinds((name) => addresses.get(name));
  return lines.map((line) => {
    const { name, address, type } = line;
    const lower = type.toLowerCase();
    const bind = type === lower && lower !== 'w' && lower !== 'v' ? 'local' : 'global';
    return { name, kind: kindOf(line), bind, weak: lower === 'w' || lower === 'v', address };
  });
}

/** The defined symbols of an ELF file; of a module those that stay loaded, as its kallsyms has them. */
export function symbolsOfFile(file: ElfFile): TargetSymbol[] {
  const symbols: TargetSymbol[] = [];
  let source = '';
  for (const { name, bind, type, shndx, value, size } of file.symbols()) {
    if (type === STT.FILE) source = name;
    if (type === STT.FILE || type === STT.SECTION || shndx === SHN.UNDEF || name === '') continue;
    const section = file.sections[shndx];
    if (section !== undefined && ((section.flags & SHF.ALLOC) === 0 || section.name.startsWith('.init'))) continue;
    const local = bind === STB.LOCAL;
    symbols.push({
      name,
      kind: type === STT.FUNC ? 'function' : type === STT.OBJECT ? 'object' : 'other',
      bind: local ? 'local' : 'global',
      weak: bind === STB.WEAK,
      address: value,
      size,
      ...(local && source !== '' ? { file: source } : {}),
    });
  }
  return symbols;
}

/**
 * Where no table is at hand: the original object's own symbols, as if each occurred once in the kernel. Enough to see what
 * changed, not to build a module.
 */
export function assumedSymbols(object: ElfObject): TargetSymbol[] {
  const symbols: TargetSymbol[] = [];
  const globals = new Set<string>();
  let file: string | undefined;
  for (const { name, bind, type, section } of object.symbols) {
    if (type === STT.FILE) file = name;
    if (type === STT.FILE || type === STT.SECTION || name === '' || section === 'undef') continue;
    const local = bind === STB.LOCAL;
    if (!local && globals.has(name)) continue;
    if (!local) globals.add(name);
    const kind = type === STT.FUNC ? 'function' : type === STT.OBJECT ? 'object' : 'other';
    const home = local && file !== undefined ? { file } : {};
    symbols.push({ name, kind, bind: local ? 'local' : 'global', weak: bind === STB.WEAK, ...home });
  }
  return symbols;
}
