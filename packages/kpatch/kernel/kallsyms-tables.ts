/**
 * Finding the embedded kallsyms tables in a kernel by their structure, since nothing points to them
 * (what is written is in scripts/kallsyms.c, write_src; how it is read in kernel/kallsyms.c).
 *
 * The order was addresses or offsets, [relative base], number, names, markers, [sequence by name], token table, token index
 * until Linux 6.3; since 6.4 (commit 404bad70fcf7) addresses or offsets, [relative base] and the sequence stand after the token index.
 * All is little-endian and 8-byte aligned. Markers have 8 bytes before Linux 4.20, 4 since.
 */

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
 * CONFIG_KALLSYMS_ABSOLUTE_PERCPU) signed 32-bit values, absolute if not negative, else counted from `base`. `at` is their offset.
 */
export interface Addresses {
  readonly kind: 'absolute' | 'relative' | 'percpu';
  readonly at: number;
  readonly base: bigint;
}

/** Kernels have 20,000 to 400,000 symbols; small test tables must be found too. */
const MINIMUM = 8;
const MAXIMUM = 4_000_000;
/** The lowest and highest address a 64-bit kernel may be linked at (upper half). */
const KERNEL_HALF = 0xffff_0000_0000_0000n;
/** Characters that nm prints as a symbol's type. */
const types = new Set('AaBbCcDdGgIiNnPpRrSsTtUuVvWw?-');

interface TokenTable {
  readonly start: number;
  readonly indexAt: number;
  readonly tokens: readonly string[];
}

const align8 = (at: number): number => (at + 7) & ~7;

/** Finds the tables; a string says why there are none. */
export function findTables(bytes: Buffer): KallsymsTables | string {
  let reason = 'no token table';
  for (const table of tokenTables(bytes)) {
    reason = 'the token table was found, but no names before it';
    for (const names of nameTables(bytes, table)) {
      reason = 'names were found, but no plausible addresses';
      const addresses = findAddresses(bytes, table, names.numberAt, names.count);
      if (addresses !== undefined) return { count: names.count, names: names.names, tokens: table.tokens, addresses };
    }
  }
  return reason;
}

/** Token tables are found by the digits: each stands for itself, as symbol names use all of them and never run out of codes. */
function* tokenTables(bytes: Buffer): Generator<TokenTable> {
  const digits = Buffer.from('0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0', 'latin1');
  for (let at = bytes.indexOf(digits); at >= 0; at = bytes.indexOf(digits, at + 1)) {
    const table = tokenTableAround(bytes, at);
    if (table !== undefined) yield table;
  }
}

/** `zeroAt` is where the token `0` (code 0x30) stands: 48 tokens lie before it. */
function tokenTableAround(bytes: Buffer, zeroAt: number): TokenTable | undefined {
  let start = zeroAt;
  for (let i = 0; i < 47; i++) {
    // the byte before `start` ends the token before it
    if (start < 2) return undefined;
    start = bytes.lastIndexOf(0, start - 2) + 1;
  }
  if (start < 2) return undefined;
  // The first token begins at an aligned place, but what is before it need not end with a zero byte.
  const from = bytes.lastIndexOf(0, start - 2) + 1;
  for (let first = align8(from); first < start && first - from < 256; first += 8) {
    const table = tokenTableAt(bytes, first);
    if (table !== undefined) return table;
  }
  return undefined;
}

/** Reads 256 tokens and holds them against the index that follows them. */
function tokenTableAt(bytes: Buffer, start: number): TokenTable | undefined {
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
  const indexAt = align8(at);
  if (indexAt + 512 > bytes.length) return undefined;
  if (offsets.some((offset, i) => bytes.readUInt16LE(indexAt + 2 * i) !== offset)) return undefined;
  return { start, indexAt, tokens };
}

interface NameTable {
  readonly numberAt: number;
  readonly names: number;
  readonly count: number;
}

/** Names and their markers end where the token table begins (with the sequence between them in some versions). */
function* nameTables(bytes: Buffer, table: TokenTable): Generator<NameTable> {
  const starts = Uint8Array.from(table.tokens, (token) => (types.has(token[0] ?? '') ? 1 : 0));
  const lowest = Math.max(0, table.start - MAXIMUM * 24);
  for (let at = (table.start & ~7) - 16; at >= lowest; at -= 8) {
    const count = bytes.readUInt32LE(at);
    if (count < MINIMUM || count > MAXIMUM || bytes.readUInt32LE(at + 4) !== 0) continue;
    const end = endOfNames(bytes, at + 8, count, table.start, starts);
    if (end !== undefined && markersFit(bytes, at + 8, count, align8(end)))
      yield { numberAt: at, names: at + 8, count };
  }
}

/** Walks over all name records; undefined where one cannot be a name. */
function endOfNames(bytes: Buffer, from: number, count: number, limit: number, starts: Uint8Array): number | undefined {
  let at = from;
  for (let i = 0; i < count; i++) {
    const [length, data] = recordAt(bytes, at);
    if (length === 0 || data + length > limit || starts[bytes[data]!] === 0) return undefined;
    at = data + length;
  }
  return at;
}

/** Length of the record at `at` and where its codes begin; two bytes of length where the first has its top bit set (Linux 6.1, commit 73bbb94466fd). */
export function recordAt(bytes: Buffer, at: number): [length: number, data: number] {
  const first = bytes[at] ?? 0;
  return first < 0x80 ? [first, at + 1] : [(first & 0x7f) | ((bytes[at + 1] ?? 0) << 7), at + 2];
}

/** Every 256th name has its offset in the markers. */
function markersFit(bytes: Buffer, names: number, count: number, markers: number): boolean {
  return [4, 8].some((width) => {
    let at = names;
    for (let i = 0; i < count; i++) {
      if (i % 256 === 0) {
        const marker = markers + (i / 256) * width;
        if (marker + 8 > bytes.length || bytes.readUInt32LE(marker) !== at - names) return false;
        if (width === 8 && bytes.readUInt32LE(marker + 4) !== 0) return false;
      }
      const [length, data] = recordAt(bytes, at);
      at = data + length;
    }
    return true;
  });
}

/** Tries each layout that was ever written; the addresses must be plausible as a whole. */
function findAddresses(bytes: Buffer, table: TokenTable, numberAt: number, count: number): Addresses | undefined {
  const after = align8(table.indexAt + 512);
  const offsetBytes = align8(count * 4);
  const candidates: Addresses[] = [];
  for (const [at, baseAt] of [
    [after, after + offsetBytes],
    [numberAt - 8 - offsetBytes, numberAt - 8],
  ] as const) {
    if (at < 0 || baseAt + 8 > bytes.length) continue;
    const base = bytes.readBigUInt64LE(baseAt);
    candidates.push({ kind: 'percpu', at, base }, { kind: 'relative', at, base });
  }
  for (const at of [after, numberAt - 8 * count]) {
    if (at >= 0 && at + 8 * count <= bytes.length) candidates.push({ kind: 'absolute', at, base: 0n });
  }
  return candidates.find((candidate) => plausible(bytes, candidate, count));
}

/** The address of the symbol with this index (kernel/kallsyms.c, kallsyms_sym_address). */
export function addressAt(bytes: Buffer, { kind, at, base }: Addresses, index: number): bigint {
  if (kind === 'absolute') return bytes.readBigUInt64LE(at + 8 * index);
  if (kind === 'relative') return base + BigInt(bytes.readUInt32LE(at + 4 * index));
  const offset = bytes.readInt32LE(at + 4 * index);
  return offset >= 0 ? BigInt(offset) : base - 1n - BigInt(offset);
}

/** Symbols are sorted by address, nearly all lie in the kernel's half, and they do not all lie on one spot. */
function plausible(bytes: Buffer, addresses: Addresses, count: number): boolean {
  if (addresses.kind !== 'absolute' && addresses.base < KERNEL_HALF) return false;
  let before = 0n;
  let inKernel = 0;
  let distinct = 0;
  for (let i = 0; i < count; i++) {
    const address = addressAt(bytes, addresses, i);
    if (address < before || address > 0xffff_ffff_ffff_ffffn) return false;
    if (address >= KERNEL_HALF) inKernel++;
    if (address !== before) distinct++;
    before = address;
  }
  return inKernel * 4 >= count * 3 && distinct * 2 >= count;
}
