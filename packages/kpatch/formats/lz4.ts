/** The legacy LZ4 frame that kernels are packed with: magic, then blocks of 8 MiB, each with its packed size. */

const BLOCK = 8 << 20;

/** Unpacks; throws RangeError on any damage or when more than `limit` bytes would come out. */
export function decodeLz4Legacy(input: Buffer, limit: number): Buffer {
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = 4; at + 4 <= input.length; ) {
    const size = input.readUInt32LE(at);
    at += 4;
    if (size === 0x184c2102) continue; // a further frame begins
    if (size === 0 || at + size > input.length) throw new RangeError('block is cut short');
    const block = decodeBlock(input.subarray(at, at + size));
    at += size;
    total += block.length;
    if (total > limit) throw new RangeError('unpacks to too much');
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

function decodeBlock(input: Buffer): Buffer {
  const output = Buffer.allocUnsafe(BLOCK);
  let from = 0;
  let to = 0;
  const more = (length: number): number => {
    let sum = length;
    if (length !== 15) return sum;
    for (;;) {
      const byte = input[from++];
      if (byte === undefined) throw new RangeError('length is cut short');
      sum += byte;
      if (byte !== 255) return sum;
    }
  };
  while (from < input.length) {
    const token = input[from++]!;
    const literals = more(token >> 4);
    if (from + literals > input.length || to + literals > BLOCK) throw new RangeError('literals leave the block');
    input.copy(output, to, from, from + literals);
    from += literals;
    to += literals;
    if (from === input.length) break;
    if (from + 2 > input.length) throw new RangeError('offset is cut short');
    const distance = input.readUInt16LE(from);
    from += 2;
    const match = more(token & 15) + 4;
    if (distance === 0 || distance > to || to + match > BLOCK) throw new RangeError('match leaves the block');
    for (let i = 0; i < match; i++, to++) output[to] = output[to - distance]!;
  }
  return output.subarray(0, to);
}
