/** Old and new machine code of a replaced function as comparable lines: calls and data by name instead of address. */
import type { ElfObject, ElfSymbol, Relocation, Section } from '../../formats/elf/object.ts';
import type { KernelImage } from '../../kernel/image.ts';
import type { Kallsyms } from '../../kernel/kallsyms/kallsyms.ts';
import type { CodeLine, NameAddress } from '../../platform/common/listing.ts';
import type { Platform } from '../../platform/platform.ts';
import { architectureOf } from '../../platform/registry.ts';

/** Maximum number of instructions shown of a function. */
const LIMIT = 3000;

/** The code of a function in vmlinux; undefined if the image does not contain it. */
export function oldCode(image: KernelImage, kallsyms: Kallsyms, address: bigint): CodeLine[] | undefined {
  const next = kallsyms.nextAddress(address);
  if (next === undefined) return undefined;
  const bytes = image.read(address, Number(next - address));
  if (bytes === undefined) return undefined;
  return linesOf(image.platform, bytes, address, ({ value }) => {
    const symbol = kallsyms.symbolOf(value);
    if (symbol === undefined) return undefined;
    // After the init code the linker script places the out-of-line parts of alternatives.
    if (symbol.name === '_einittext') return 'altinstr_aux';
    const distance = value - symbol.address;
    const text = distance === 0n && /[tT]/.test(symbol.type) ? undefined : stringIn(image.read(value, 80));
    if (text !== undefined) return text;
    return distance === 0n ? symbol.name : `${symbol.name}+0x${distance.toString(16)}`;
  });
}

/** The code of a function in a module file: the livepatch module or a kernel module. */
export function codeInModule(module: ElfObject, symbol: ElfSymbol): CodeLine[] | undefined {
  const platform = architectureOf(module);
  const { section, value, size } = symbol;
  if (typeof section !== 'object' || size === 0) return undefined;
  const apart = module.sections.flatMap((other: Section) => (other.target === section ? other.relocations : []));
  const relocations = [...section.relocations, ...apart].filter(
    ({ offset }) => offset >= value && offset < value + size,
  );
  const byOffset = new Map(relocations.map((relocation) => [relocation.offset - value, relocation]));
  const code = section.data.subarray(value, value + size);
  return linesOf(platform, code, 0n, ({ at, end }) => {
    for (let offset = at; offset < end; offset++) {
      const relocation = byOffset.get(offset);
      if (relocation !== undefined) return nameOf(module, platform, relocation, end - offset);
    }
    return undefined;
  });
}

/** `.klp.sym.vmlinux.show_val_kb,0` is `show_val_kb` (Documentation/livepatch/module-elf-format.rst). */
function nameOf(module: ElfObject, { listing }: Platform, { symbol, addend, type }: Relocation, toEnd: number): string {
  if (symbol === undefined) return `0x${addend.toString(16)}`;
  const place = addend + (listing?.addendBias(type, toEnd) ?? 0);
  const { section } = symbol;
  if (typeof section === 'object' && (section.flags & 4) === 0) {
    const text = stringIn(Buffer.from(section.data.subarray(symbol.value + place, symbol.value + place + 80)));
    if (text !== undefined) return text;
  }
  // Assemblers refer to local symbols by section and offset; the symbol table has the name for that offset.
  const own = symbol.name === '' && typeof section === 'object' ? symbolAt(module, section, place) : undefined;
  const named = own?.name ?? (symbol.name !== '' ? symbol.name : section === undefined ? '?' : sectionName(section));
  const name = named.replace(/^\.klp\.sym\.[^.]+\.(.*),\d+$/, '$1');
  const distance = place - (own?.value ?? 0);
  return distance === 0 ? name : `${name}${distance < 0 ? '-' : '+'}0x${Math.abs(distance).toString(16)}`;
}

function sectionName(section: NonNullable<ElfSymbol['section']>): string {
  return typeof section === 'object' ? section.name.replace(/^\./, '') : '?';
}

/** The function or variable at this offset of a section. */
function symbolAt(module: ElfObject, section: Section, place: number): ElfSymbol | undefined {
  return module.symbols.find(
    (symbol) =>
      symbol.section === section && symbol.name !== '' && symbol.value <= place && place < symbol.value + symbol.size,
  );
}

/** The C string at this offset, shortened and in quotes; undefined if there is none. */
function stringIn(bytes: Buffer | undefined): string | undefined {
  const end = bytes?.indexOf(0) ?? -1;
  const text = bytes?.toString('latin1', 0, end < 0 ? bytes.length : end) ?? '';
  if (text.length < 2 || !/^[\x20-\x7e\n\t\x01]*$/.test(text)) return undefined;
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** The lines of a function; without names where the machine has no listing of its own. */
function linesOf(platform: Platform, bytes: Uint8Array, start: bigint, name: NameAddress): CodeLine[] {
  const { listing } = platform;
  if (listing !== undefined) return listing.list(listing.withoutPadding(bytes), start, LIMIT, name);
  return platform
    .disassemble(bytes, 0, bytes.length)
    .slice(0, LIMIT)
    .map(({ offset, text }) => ({ offset, text }));
}
