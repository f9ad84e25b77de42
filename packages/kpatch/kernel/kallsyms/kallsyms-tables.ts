/**
 * Finds the embedded kallsyms tables in a kernel by their structure, because nothing points to them
 * (written by write_src in scripts/kallsyms.c, read by kernel/kallsyms.c).
 *
 * The order was addresses or offsets, [relative base], number, names, markers, [sequence by name], token table, token index
 * until Linux 6.3; since 6.4 (commit 404bad70fcf7) addresses or offsets, [relative base] and the sequence stand after the
 * token index.
 * Linux 7.x has no relative base: each offset counts from its own place (scripts/kallsyms.c, `_text - . + offset`).
 * All is in the machine's byte order and 8-byte aligned, in Linux 7.x 4-byte aligned. Markers have 8 bytes before Linux 4.20,
 * 4 since.
 */
import type { Platform } from '../../platform/platform.ts';
import { type ByteOrder, bigEndian, littleEndian } from '../byte-order.ts';

export interface KallsymsTables {
  readonly count: number;
  /** Offset of the first name record in the image's bytes. */
  readonly names: number;
  /** The 256 tokens, latin1. */
  readonly tokens: readonly string[];
  readonly addresses: Addresses;
}

/**
 * How addresses are kept: `absolute` 64-bit addresses; `relative` unsigned 32-bit offsets from `base`; `percpu` (with
 * CONFIG_KALLSYMS_ABSOLUTE_PERCPU) signed 32-bit values, absolute if not negative, else counted from `base`; `self` signed 32-bit
 * values, each counted from its own address, where `base` is the address of the first. `at` is their offset.
 */
export interface Addresses {
  readonly kind: 'absolute' | 'relative' | 'percpu' | 'self';
  readonly at: number;
  readonly base: bigint;
  /** Offset of the base in the image's bytes; absent if there is none. */
  readonly baseAt?: number;
  /** The address of the image's first byte, where it is the kernel's plain memory and shows it. */
  readonly start?: bigint;
}

/** Kernels have 20,000 to 400,000 symbols; small test tables must be found too. */
const MINIMUM = 8;
const MAXIMUM = 4_000_000;
/** Characters that nm prints as a symbol's type. */
const types = new Set('AaBbCcDdGgIiNnPpRrSsTtUuVvWw?-');

interface TokenTable {
  /** Bytes to which every table is aligned. */
  readonly alignment: 4 | 8;
  readonly start: number;
  readonly indexAt: number;
  readonly tokens: readonly string[];
}

/** The virtual address of a byte of the image; undefined if it has none. */
export type AddressOf = (offset: number) => bigint | undefined;

/** An image and what its machine decides about the tables in it. */
interface Search {
  readonly addressOf: AddressOf;
  readonly bytes: Buffer;
  readonly order: ByteOrder;
  readonly boot: Platform['boot'];
}

const align = (at: number, alignment: number): number => (at + alignment - 1) & -alignment;

/** Finds the tables; returns a string with the reason if there are none. */
export function findTables(
  bytes: Buffer,
  { littleEndian: little, boot }: Platform,
  addressOf: AddressOf,
): KallsymsTables | string {
  const search: Search = { bytes, order: little ? littleEndian : bigEndian, boot, addressOf };
  let reason = 'no token table';
  for (const table of tokenTables(search)) {
    reason = 'the token table was found, but no names before it';
    for (const names of nameTables(search, table)) {
      reason = 'names were found, but no plausible addresses';
      const addresses = findAddresses(search, table, names);
      if (addresses !== undefined) return { count: names.count, names: names.names, tokens: table.tokens, addresses };
    }
  }
  return reason;
}

/**
 * Token tables are found by the digits: each stands for itself, as symbol names use all of them and never run out of codes.
 */
function* tokenTables(search: Search): Generator<TokenTable> {
  const { bytes } = search;
  const digits = Buffer.from('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0', 'latin1');
  for (let at = bytes.indexOf(digits); at >= 0; at = bytes.indexOf(digits, at + 1)) {
    const table = tokenTableAround(search, at);
    if (table !== undefined) yield table;
  }
}

/** `zeroAt` is where the token `0` (code 0x30) stands: 48 tokens are before it. */
function tokenTableAround(search: Search, zeroAt: number): TokenTable | undefined {
  const { bytes } = search;
  let start = zeroAt;
  for (let i = 0; i < 47; i++) {
    // the byte before `start` ends the token before it
    if (start < 2) return undefined;
    start = bytes.lastIndexOf(0, start - 2) + 1;
  }
  if (start < 2) return undefined;
  // The first token begins at an aligned place, but what is before it need not end with a zero byte.
  const from = bytes.lastIndexOf(0, start - 2) + 1;
  for (let first = align(from, 4); first < start && first - from < 256; first += 4) {
    const table = tokenTableAt(search, first);
    if (table !== undefined) return table;
  }
  return undefined;
}

/** Reads 256 tokens and compares them with the index that follows them. */
function tokenTableAt({ bytes, order }: Search, start: number): TokenTable | undefined {
  const tokens: string[] = [];
  const offsets: number[] = [];
  let at = start;
  for (let i = 0; i < 256; i++) {
    const end = bytes.indexOf(0, at);
    if (end < 0 || end - at > 255) return undefined;
    tokens.push(bytes.toString('latin1', at, end));
    offsets.push(at - start);
    at = end + 1;
  }
  for (const alignment of [8, 4] as const) {
    const indexAt = align(at, alignment);
    if (start % alignment !== 0 || indexAt + 512 > bytes.length) continue;
    if (offsets.every((offset, i) => order.u16(bytes, indexAt + 2 * i) === offset)) {
      return { start, indexAt, tokens, alignment };
    }
  }
  return undefined;
}

interface NameTable {
  readonly alignment: number;
  readonly numberAt: number;
  readonly names: number;
  readonly count: number;
}

/** Names and their markers end where the token table begins (with the sequence between them in some versions). */
function* nameTables(search: Search, table: TokenTable): Generator<NameTable> {
  const { bytes, order } = search;
  const starts = Uint8Array.from(table.tokens, (token) => (types.has(token[0] ?? '') ? 1 : 0));
  const lowest = Math.max(0, table.start - MAXIMUM * 24);
  // The alignment that the token table shows may be the smaller one by chance.
  for (const step of table.alignment === 8 ? [8, 4] : [4]) {
    for (let at = align(table.start - 16, step); at >= lowest; at -= step) {
      const count = step === 4 ? order.u32(bytes, at) : countAt(bytes, order, at);
      if (count < MINIMUM || count > MAXIMUM) continue;
      const names = at + step;
      const end = endOfNames(bytes, names, count, table.start, starts);
      if (end !== undefined && markersFit(search, names, count, align(end, step))) {
        yield { numberAt: at, names, count, alignment: step };
      }
    }
  }
}

/** The number of symbols: 4 bytes and 4 of padding, or 8 bytes before Linux 4.20; 0 for what is neither. */
function countAt(bytes: Buffer, order: ByteOrder, at: number): number {
  const [first, second] = [order.u32(bytes, at), order.u32(bytes, at + 4)];
  if (second === 0) return first;
  return first === 0 && order === bigEndian ? second : 0;
}

/** Walks over all name records; undefined if one cannot be a name. */
function endOfNames(bytes: Buffer, from: number, count: number, limit: number, starts: Uint8Array): number | undefined {
  let at = from;
  for (let i = 0; i < count; i++) {
    const [length, data] = recordAt(bytes, at);
    if (length === 0 || data + length > limit || starts[bytes[data]!] === 0) return undefined;
    at = data + length;
  }
  return at;
}

/**
 * Length of the record at `at` and where its codes begin; two bytes of length where the first has its top bit set (Linux
 * 6.1, commit 73bbb94466fd).
 */
export function recordAt(bytes: Buffer, at: number): [length: number, data: number] {
  const first = bytes[at] ?? 0;
  return first < 0x80 ? [first, at + 1] : [(first & 0x7f) | ((bytes[at + 1] ?? 0) << 7), at + 2];
}

/** Every 256th name has its offset in the markers. */
function markersFit({ bytes, order }: Search, names: number, count: number, markers: number): boolean {
  return [4, 8].some((width) => {
    let at = names;
    for (let i = 0; i < count; i++) {
      if (i % 256 === 0) {
        const marker = markers + (i / 256) * width;
        if (marker + 8 > bytes.length || markerAt(bytes, order, marker, width) !== BigInt(at - names)) return false;
      }
      const [length, data] = recordAt(bytes, at);
      at = data + length;
    }
    return true;
  });
}

function markerAt(bytes: Buffer, order: ByteOrder, at: number, width: number): bigint {
  return width === 8 ? order.u64(bytes, at) : BigInt(order.u32(bytes, at));
}

/** Tries each layout that was ever written; the addresses must be plausible as a whole. */
function findAddresses(
  search: Search,
  table: TokenTable,
  { numberAt, count, alignment }: NameTable,
): Addresses | undefined {
  const { bytes, boot } = search;
  const after = align(table.indexAt + 512, alignment);
  const offsetBytes = align(count * 4, 8);
  const candidates: Addresses[] = [];
  for (const [at, baseAt] of [
    [after, after + offsetBytes],
    [numberAt - 8 - offsetBytes, numberAt - 8],
  ] as const) {
    if (at < 0 || baseAt + 8 > bytes.length) continue;
    const base = { ...baseOf(search, baseAt), baseAt };
    if (boot.absolutePerCpu) candidates.push({ kind: 'percpu', at, ...base });
    candidates.push({ kind: 'relative', at, ...base });
  }
  const self = search.addressOf(after);
  if (self !== undefined) candidates.push({ kind: 'self', at: after, base: self });
  for (const at of [after, numberAt - 8 * count]) {
    if (at >= 0 && at + 8 * count <= bytes.length) candidates.push({ kind: 'absolute', at, base: 0n });
  }
  return candidates.find((candidate) => plausible(search, candidate, count));
}

/** Kernels begin at a multiple of this, and their first symbol is not far behind it. */
const ALIGNMENT = 0x20_0000n;
const HEAD = 0x100_0000n;

/**
 * The base at an offset of the image's bytes. It may be zero: the booting kernel fills it in by a relocation (place, type,
 * value), as it does every pointer. Where the place is not known, in a kernel's plain memory, the one relocation whose place
 * and value fit tells both base and start.
 */
function baseOf(search: Search, baseAt: number): { base: bigint; start?: bigint } {
  const { bytes, order, boot, addressOf } = search;
  const base = order.u64(bytes, baseAt);
  if (base !== 0n || boot.relative === undefined) return { base };
  const place = addressOf(baseAt);
  const fits = (start: bigint, value: bigint): boolean =>
    start >= boot.lowestAddress && start % ALIGNMENT === 0n && value >= start && value - start < HEAD;
  const found: { base: bigint; start: bigint }[] = [];
  for (const relocation of relativeRelocations(search, boot.relative)) {
    const start = relocation.place - BigInt(baseAt);
    const value = relocation.value;
    if (place !== undefined && relocation.place === place) return { base: value };
    if (place === undefined && fits(start, value)) found.push({ base: value, start });
  }
  return found.length === 1 ? found[0]! : { base };
}

/** Everything in the bytes that can be an entry of `.rela.dyn` of this type without a symbol. */
function* relativeRelocations({ bytes, order }: Search, type: number): Generator<{ place: bigint; value: bigint }> {
  const [low, high] = order === bigEndian ? [12, 8] : [8, 12];
  for (let at = 0; at + 24 <= bytes.length; at += 8) {
    if (order.u32(bytes, at + low) !== type || order.u32(bytes, at + high) !== 0) continue;
    yield { place: order.u64(bytes, at), value: order.u64(bytes, at + 16) };
  }
}

/** The address of the symbol with this index (kernel/kallsyms.c, kallsyms_sym_address). */
export function addressAt(bytes: Buffer, order: ByteOrder, { kind, at, base }: Addresses, index: number): bigint {
  if (kind === 'absolute') return order.u64(bytes, at + 8 * index);
  if (kind === 'relative') return base + BigInt(order.u32(bytes, at + 4 * index));
  const offset = order.i32(bytes, at + 4 * index);
  if (kind === 'self') return base + BigInt(4 * index + offset);
  return offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset);
}

/**
 * Where a kernel's plain memory begins, which is at its lowest symbol unless it shows another address; and the tables' own
 * base, for which the file may have zero. Where nothing tells (each offset counts from its own place, or only a booting kernel
 * knows), the memory is taken to begin at the lowest address: all distances in it are right. A string says why there is none.
 */
export function memoryBase(
  bytes: Buffer,
  platform: Platform,
): { readonly address: bigint; readonly base: bigint; readonly baseAt: number | undefined } | string {
  const { lowestAddress, linkedAt } = platform.boot;
  const assumed = linkedAt ?? lowestAddress;
  // Where the image is in memory is what is asked for.
  const tables = linkedAt === undefined ? findTables(bytes, platform, () => undefined) : 'its address is fixed';
  if (typeof tables === 'string') return assumedBase(bytes, platform, assumed);
  const { base, baseAt, start } = tables.addresses;
  if (start !== undefined) return { address: start, base, baseAt };
  const order = platform.littleEndian ? littleEndian : bigEndian;
  for (let i = 0; i < tables.count; i++) {
    const address = addressAt(bytes, order, tables.addresses, i);
    if (address >= lowestAddress) return { address, base, baseAt };
  }
  return 'it has no symbol of the kernel';
}

function assumedBase(bytes: Buffer, platform: Platform, address: bigint): ReturnType<typeof memoryBase> {
  const tables = findTables(bytes, platform, (offset) => address + BigInt(offset));
  if (typeof tables === 'string') return tables;
  const { kind, base, baseAt } = tables.addresses;
  if (kind === 'self') return { address, base, baseAt: undefined };
  // A base without a relocation of its own kind has one with a symbol: _text, where the memory begins.
  if (base === 0n) return { address, base: address, baseAt };
  const order = platform.littleEndian ? littleEndian : bigEndian;
  return { address: addressAt(bytes, order, tables.addresses, 0), base, baseAt };
}

/** Symbols are sorted by address, nearly all are in the kernel's half, and they do not all are on one spot. */
function plausible({ bytes, order, boot }: Search, addresses: Addresses, count: number): boolean {
  if (addresses.kind !== 'absolute' && addresses.kind !== 'self' && addresses.base < boot.lowestAddress) return false;
  // The first symbol is at the base or behind it, but before the tables, which are behind the code.
  const isBefore = order.i32(bytes, addresses.at) < 0;
  if ((addresses.kind === 'relative' && isBefore) || (addresses.kind === 'self' && !isBefore)) return false;
  let before = 0n;
  let inKernel = 0;
  let distinct = 0;
  for (let i = 0; i < count; i++) {
    const address = addressAt(bytes, order, addresses, i);
    if (address < before || address > 0xffff_ffff_ffff_ffffn) return false;
    if (address >= boot.lowestAddress) inKernel++;
    if (address !== before) distinct++;
    before = address;
  }
  return inKernel * 4 >= count * 3 && distinct * 2 >= count;
}
