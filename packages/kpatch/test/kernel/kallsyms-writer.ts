/** Writes kallsyms tables as the kernel's scripts/kallsyms.c lays them out, so that a test can state every byte of its input. */

export interface WrittenSymbol {
  readonly name: string;
  readonly type: string;
  readonly address: bigint;
}

export interface Layout {
  /** Where the addresses stand: before the number of symbols (until Linux 6.3) or after the token index (since 6.4). */
  readonly addressesFirst: boolean;
  readonly kind: 'absolute' | 'relative' | 'percpu' | 'self';
  /** Bytes of a marker: 8 before Linux 4.20. */
  readonly markerSize: 4 | 8;
  /** Write the sequence by name (3 bytes a symbol, since 6.2). */
  readonly sequence: boolean;
}

export const layouts: Readonly<Record<string, Layout>> = {
  'Linux 4.12': { addressesFirst: true, kind: 'percpu', markerSize: 8, sequence: false },
  'Linux 4.12, absolute addresses': { addressesFirst: true, kind: 'absolute', markerSize: 8, sequence: false },
  'Linux 5.10': { addressesFirst: true, kind: 'percpu', markerSize: 4, sequence: false },
  'Linux 6.2': { addressesFirst: true, kind: 'percpu', markerSize: 4, sequence: true },
  'Linux 6.12': { addressesFirst: false, kind: 'percpu', markerSize: 4, sequence: true },
  'Linux 6.18': { addressesFirst: false, kind: 'relative', markerSize: 4, sequence: true },
  'Linux 7.2': { addressesFirst: false, kind: 'self', markerSize: 4, sequence: true },
};

const BASE = 0xffffffff81000000n;
/** One byte of the tables that stands for two characters, so that unpacking is put to the test. */
const PAIR = 0x01;

/** Writes numbers in one byte order. */
interface Put {
  u16(into: Buffer, value: number, at: number): void;
  u32(into: Buffer, value: number, at: number): void;
  i32(into: Buffer, value: number, at: number): void;
  u64(into: Buffer, value: bigint, at: number): void;
  marker(into: Buffer, value: number, at: number, size: number): void;
}

const littleEndian: Put = {
  u16: (into, value, at) => into.writeUInt16LE(value, at),
  u32: (into, value, at) => into.writeUInt32LE(value, at),
  i32: (into, value, at) => into.writeInt32LE(value, at),
  u64: (into, value, at) => into.writeBigUInt64LE(value, at),
  marker: (into, value, at) => into.writeUInt32LE(value, at),
};

const bigEndian: Put = {
  u16: (into, value, at) => into.writeUInt16BE(value, at),
  u32: (into, value, at) => into.writeUInt32BE(value, at),
  i32: (into, value, at) => into.writeInt32BE(value, at),
  u64: (into, value, at) => into.writeBigUInt64BE(value, at),
  marker: (into, value, at, size) => into.writeUInt32BE(value, at + size - 4),
};

/**
 * The tables for symbols in ascending order of address, 8-byte aligned. `place` is the address that the tables get, which
 * counts where each offset is relative to itself.
 */
export function kallsymsTables(
  symbols: readonly WrittenSymbol[],
  layout: Layout,
  base = BASE,
  order: 'little' | 'big' = 'little',
  place = 0n,
): Buffer {
  const put = order === 'little' ? littleEndian : bigEndian;
  const tokens = Array.from({ length: 256 }, (_, i) => (i >= 0x20 && i < 0x7f ? String.fromCharCode(i) : `~${i}`));
  tokens[PAIR] = 'te';
  const names: Buffer[] = [];
  const offsets: number[] = [];
  let at = 0;
  for (const { name, type } of symbols) {
    const codes = Buffer.from(`${type}${name}`.replaceAll('te', String.fromCharCode(PAIR)), 'latin1');
    const length = codes.length < 0x80 ? [codes.length] : [(codes.length & 0x7f) | 0x80, codes.length >> 7];
    if (names.length % 256 === 0) offsets.push(at);
    names.push(Buffer.from([...length, ...codes]));
    at += length.length + codes.length;
  }
  const tokenBytes = tokens.map((token) => Buffer.from(`${token}\0`, 'latin1'));
  const index = Buffer.alloc(512);
  tokenBytes.reduce((sum, bytes, i) => {
    put.u16(index, sum, 2 * i);
    return sum + bytes.length;
  }, 0);
  const count = Buffer.alloc(layout.kind === 'self' ? 4 : 8);
  put.u32(count, symbols.length, 0);
  const markers = Buffer.alloc(offsets.length * layout.markerSize);
  offsets.forEach((offset, i) => {
    put.marker(markers, offset, i * layout.markerSize, layout.markerSize);
  });
  const sequence = layout.sequence ? [sequenceTable(symbols)] : [];
  const start = [count, Buffer.concat(names), markers];
  const end = [Buffer.concat(tokenBytes), index];
  const before = [...start, ...end].reduce((sum, bytes) => sum + aligned(bytes, layout).length, 0);
  const addresses = addressTable(symbols, layout, layout.kind === 'self' ? place + BigInt(before) : base, put);
  const parts = layout.addressesFirst
    ? [...addresses, ...start, ...sequence, ...end]
    : [...start, ...end, ...addresses, ...sequence];
  return Buffer.concat(parts.map((bytes) => aligned(bytes, layout)));
}

function addressTable(symbols: readonly WrittenSymbol[], { kind }: Layout, lowest: bigint, put: Put): Buffer[] {
  if (kind === 'absolute') {
    const table = Buffer.alloc(8 * symbols.length);
    symbols.forEach(({ address }, i) => {
      put.u64(table, address, 8 * i);
    });
    return [table];
  }
  const offsets = Buffer.alloc(4 * symbols.length);
  if (kind === 'self') {
    symbols.forEach(({ address }, i) => {
      put.i32(offsets, Number(address - lowest) - 4 * i, 4 * i);
    });
    return [offsets];
  }
  symbols.forEach(({ address }, i) => {
    if (kind === 'relative') put.u32(offsets, Number(address - lowest), 4 * i);
    else put.i32(offsets, Number(address < lowest ? address : lowest - 1n - address), 4 * i);
  });
  const base = Buffer.alloc(8);
  put.u64(base, lowest, 0);
  return [offsets, base];
}

function sequenceTable(symbols: readonly WrittenSymbol[]): Buffer {
  const order = symbols.map((_, i) => i).sort((a, b) => (symbols[a]!.name < symbols[b]!.name ? -1 : 1));
  return Buffer.from(order.flatMap((i) => [i >> 16, (i >> 8) & 0xff, i & 0xff]));
}

/** Linux 7.x aligns to 4 bytes, earlier kernels to 8 (scripts/kallsyms.c, output_label). */
function aligned(bytes: Buffer, { kind }: Layout): Buffer {
  const to = kind === 'self' ? 4 : 8;
  return Buffer.concat([bytes, Buffer.alloc((to - (bytes.length % to)) % to)]);
}
