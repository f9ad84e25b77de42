/** Old and new machine code of a replaced function as comparable lines: calls and data by name instead of address. */
import { createRequire } from 'node:module';
import type { ElfObject, ElfSymbol, Relocation, Section } from '../../formats/elf/object.ts';
import type { KernelImage } from '../../kernel/image.ts';
import type { Kallsyms } from '../../kernel/kallsyms.ts';

export interface CodeLine {
  /** Bytes from the start of the function. */
  readonly offset: number;
  readonly text: string;
}

/** Turns an address into a name or a quoted string. */
type Naming = (place: { readonly at: number; readonly end: number; readonly value: bigint }) => string | undefined;

/** Maximum number of instructions shown of a function. */
const LIMIT = 3000;

/** The code of a function in vmlinux; undefined if the image does not contain it. */
export function oldCode(image: KernelImage, kallsyms: Kallsyms, address: bigint): CodeLine[] | undefined {
  const next = kallsyms.nextAddress(address);
  if (next === undefined) return undefined;
  const bytes = image.read(address, Number(next - address));
  if (bytes === undefined) return undefined;
  return disassemble(withoutPadding(bytes), address, ({ value }) => {
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
  const { section, value, size } = symbol;
  if (typeof section !== 'object' || size === 0) return undefined;
  const apart = module.sections.flatMap((other: Section) => (other.target === section ? other.relocations : []));
  const relocations = [...section.relocations, ...apart].filter(
    ({ offset }) => offset >= value && offset < value + size,
  );
  const byOffset = new Map(relocations.map((relocation) => [relocation.offset - value, relocation]));
  const code = section.data.subarray(value, value + size);
  return disassemble(withoutPadding(code), 0n, ({ at, end }) => {
    for (let offset = at; offset < end; offset++) {
      const relocation = byOffset.get(offset);
      if (relocation !== undefined) return nameOf(module, relocation, end - offset);
    }
    return undefined;
  });
}

/** `.klp.sym.vmlinux.show_val_kb,0` is `show_val_kb` (Documentation/livepatch/module-elf-format.rst). */
function nameOf(module: ElfObject, { symbol, addend, type }: Relocation, toEnd: number): string {
  if (symbol === undefined) return `0x${addend.toString(16)}`;
  const R_X86_64_PC32 = 2;
  const R_X86_64_PLT32 = 4;
  const relative = type === R_X86_64_PC32 || type === R_X86_64_PLT32;
  const place = addend + (relative ? toEnd : 0);
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

/** Removes the padding after the last instruction (traps, nops). */
function withoutPadding(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0xcc || bytes[end - 1] === 0x90)) end--;
  return bytes.subarray(0, end);
}

function disassemble(bytes: Uint8Array, start: bigint, naming: Naming): CodeLine[] {
  // Imported on demand, because the library takes 73 ms to load.
  const { Decoder, DecoderOptions, Formatter, FormatterSyntax, FlowControl, OpKind } = createRequire(import.meta.url)(
    'iced-x86',
  ) as typeof import('iced-x86');
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  decoder.ip = start;
  const formatter = new Formatter(FormatterSyntax.Gas);
  formatter.ripRelativeAddresses = true;
  const lines: CodeLine[] = [];
  const stop = start + BigInt(bytes.length);
  while (decoder.canDecode && lines.length < LIMIT) {
    const at = decoder.position;
    const raw = decoder.decode();
    const end = decoder.position;
    let text = formatter.format(raw).replace(/\s+/g, ' ');
    const flow = raw.flowControl;
    const branch = [FlowControl.Call, FlowControl.UnconditionalBranch, FlowControl.ConditionalBranch].includes(flow);
    if (branch && raw.opKind(0) === OpKind.NearBranch64) {
      const value = raw.nearBranchTarget;
      const name = naming({ at, end, value });
      const inside = value >= start && value < stop;
      const target =
        inside && (name === undefined || start !== 0n) ? `+0x${(value - start).toString(16)}` : (name ?? hex(value));
      text = `${text.split(' ')[0]} ${target}`;
    } else if (raw.isIpRelMemoryOperand) {
      const value = raw.ipRelMemoryAddress;
      const name = naming({ at, end, value });
      if (name !== undefined) text = text.replace(/-?(0x[0-9a-f]+|[0-9a-f]+h|\d+)?\(%rip\)/i, `${name}(%rip)`);
    } else {
      const place = displacementOf(raw, OpKind);
      const immediate = immediateOf(raw, OpKind);
      const table =
        place !== undefined && (start === 0n || place >= 0xffffffff80000000n)
          ? naming({ at, end, value: place })
          : undefined;
      // Kernel code and data are in the top 2 GB of the address space.
      const name = start === 0n || immediate >= 0xffffffff80000000n ? naming({ at, end, value: immediate }) : undefined;
      if (table !== undefined) text = text.replace(/-?(0x[0-9a-f]+|\d+)?\(/i, `${table}(`);
      else if (name !== undefined) text = text.replace(/\$-?0x[0-9a-f]+|\$-?\d+/i, `$${name}`);
    }
    lines.push({ offset: at, text });
    raw.free();
  }
  formatter.free();
  decoder.free();
  return lines;
}

/** A 32-bit displacement from another register than the instruction pointer: an index into a table, per-CPU data. */
function displacementOf(
  raw: import('iced-x86').Instruction,
  kinds: typeof import('iced-x86').OpKind,
): bigint | undefined {
  for (let operand = 0; operand < raw.opCount; operand++) {
    if (raw.opKind(operand) === kinds.Memory && raw.memoryDisplSize >= 4)
      return BigInt.asUintN(64, raw.memoryDisplacement);
  }
  return undefined;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function immediateOf(raw: import('iced-x86').Instruction, kinds: typeof import('iced-x86').OpKind): bigint {
  for (let operand = 0; operand < raw.opCount; operand++) {
    const kind = raw.opKind(operand);
    if (kind === kinds.Immediate32to64 || kind === kinds.Immediate64 || kind === kinds.Immediate32) {
      return BigInt.asUintN(64, raw.immediate(operand) as bigint);
    }
  }
  return 0n;
}
