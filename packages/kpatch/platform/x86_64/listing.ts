/** x86-64 code for people, and who calls whom in the kernel image. */
import { createRequire } from 'node:module';
import type { CodeLine, CodeReference, ListingRules, NameAddress } from '../common/listing.ts';
import { R_X86_64 } from './relocations.ts';

type Iced = typeof import('iced-x86');
type Raw = import('iced-x86').Instruction;

/** Kernel code and data are in the top 2 GB of the address space, so distances fit in 32 bits. */
const KERNEL = 0xffffffff80000000n;

export const listing: ListingRules = {
  list,
  withoutPadding,
  addendBias: (type, toEnd) => (type === R_X86_64.PC32 || type === R_X86_64.PLT32 ? toEnd : 0),
  references,
};

function withoutPadding(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 0xcc || bytes[end - 1] === 0x90)) end--;
  return bytes.subarray(0, end);
}

function list(bytes: Uint8Array, start: bigint, limit: number, name: NameAddress): CodeLine[] {
  // Loaded when the first report is written: the library takes 73 ms to load.
  const iced = createRequire(import.meta.url)('iced-x86') as Iced;
  const decoder = new iced.Decoder(64, bytes, iced.DecoderOptions.None);
  decoder.ip = start;
  const formatter = new iced.Formatter(iced.FormatterSyntax.Gas);
  formatter.ripRelativeAddresses = true;
  const lines: CodeLine[] = [];
  const inside = (value: bigint): boolean => value >= start && value < start + BigInt(bytes.length);
  while (decoder.canDecode && lines.length < limit) {
    const at = decoder.position;
    const raw = decoder.decode();
    const nameHere = (value: bigint): string | undefined => name({ at, end: decoder.position, value });
    const text = formatter.format(raw).replace(/\s+/g, ' ');
    lines.push({ offset: at, text: withNames(iced, raw, text, start, inside, nameHere) });
    raw.free();
  }
  formatter.free();
  decoder.free();
  return lines;
}

/** An instruction's text with names instead of addresses. */
function withNames(
  iced: Iced,
  raw: Raw,
  text: string,
  start: bigint,
  inside: (value: bigint) => boolean,
  name: (value: bigint) => string | undefined,
): string {
  const { FlowControl, OpKind } = iced;
  const branches = [FlowControl.Call, FlowControl.UnconditionalBranch, FlowControl.ConditionalBranch];
  if (branches.includes(raw.flowControl) && raw.opKind(0) === OpKind.NearBranch64) {
    const value = raw.nearBranchTarget;
    const found = name(value);
    const own = inside(value) && (found === undefined || start !== 0n);
    return `${text.split(' ')[0]} ${own ? `+0x${(value - start).toString(16)}` : (found ?? hex(value))}`;
  }
  if (raw.isIpRelMemoryOperand) {
    const found = name(raw.ipRelMemoryAddress);
    const operand = /-?(0x[0-9a-f]+|[0-9a-f]+h|\d+)?\(%rip\)/i;
    return found === undefined ? text : text.replace(operand, `${found}(%rip)`);
  }
  const place = displacementOf(raw, OpKind);
  const immediate = immediateOf(raw, OpKind);
  const table = place !== undefined && (start === 0n || place >= KERNEL) ? name(place) : undefined;
  const constant = start === 0n || immediate >= KERNEL ? name(immediate) : undefined;
  if (table !== undefined) return text.replace(/-?(0x[0-9a-f]+|\d+)?\(/i, `${table}(`);
  return constant === undefined ? text : text.replace(/\$-?0x[0-9a-f]+|\$-?\d+/i, `$${constant}`);
}

/** A 32-bit displacement from another register than the instruction pointer: an index into a table, per-CPU data. */
function displacementOf(raw: Raw, kinds: Iced['OpKind']): bigint | undefined {
  for (let operand = 0; operand < raw.opCount; operand++) {
    if (raw.opKind(operand) === kinds.Memory && raw.memoryDisplSize >= 4)
      return BigInt.asUintN(64, raw.memoryDisplacement);
  }
  return undefined;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function immediateOf(raw: Raw, kinds: Iced['OpKind']): bigint {
  for (let operand = 0; operand < raw.opCount; operand++) {
    const kind = raw.opKind(operand);
    if (kind === kinds.Immediate32to64 || kind === kinds.Immediate64 || kind === kinds.Immediate32) {
      return BigInt.asUintN(64, raw.immediate(operand) as bigint);
    }
  }
  return 0n;
}

type Section = Parameters<ListingRules['references']>[0];

function* references(section: Section, targets: readonly bigint[]): Iterable<CodeReference> {
  const { address, executable } = section;
  if (address < KERNEL) return;
  const wanted = new Map(targets.map((target) => [Number(target - KERNEL), target]));
  const bytes = Buffer.from(section.bytes.buffer, section.bytes.byteOffset, section.bytes.byteLength);
  const found = executable ? inCode(bytes, Number(address - KERNEL), wanted) : inData(bytes, wanted);
  for (const { at, target, by } of found) yield { at: address + BigInt(at), target, by };
}

interface Found {
  readonly at: number;
  readonly target: bigint;
  readonly by: CodeReference['by'];
}

/** `start` is the section's distance from the lowest address; so are the keys of `wanted`. */
function* inCode(bytes: Buffer, start: number, wanted: ReadonlyMap<number, bigint>): Iterable<Found> {
  for (let at = 0; at + 5 <= bytes.length; at++) {
    const opcode = bytes[at];
    // mov $address,%reg as REX.W C7 /0: the address is passed to code that will call it.
    const move = opcode === 0xc7 && bytes[at - 1] === 0x48 && (bytes[at + 1]! & 0xf8) === 0xc0;
    if (move && at + 6 <= bytes.length) {
      const pointer = wanted.get(bytes.readUInt32LE(at + 2) - 0x80000000);
      if (pointer !== undefined) yield { at, target: pointer, by: 'pointer' };
    }
    if (opcode !== 0xe8 && opcode !== 0xe9) continue;
    const target = wanted.get(start + at + 5 + bytes.readInt32LE(at + 1));
    if (target !== undefined) yield { at, target, by: 'call' };
  }
}

function* inData(bytes: Buffer, wanted: ReadonlyMap<number, bigint>): Iterable<Found> {
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    // The upper half of every kernel address is all ones.
    if (bytes.readUInt32LE(at + 4) !== 0xffffffff) continue;
    const target = wanted.get(bytes.readUInt32LE(at) - 0x80000000);
    if (target !== undefined) yield { at, target, by: 'pointer' };
  }
}
