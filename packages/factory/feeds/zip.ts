/** Reads zip archives (PKWARE APPNOTE 6.3): the central directory, then single members. No encryption, no ZIP64 members over 4 GiB. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';

export interface ZipMember {
  readonly name: string;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  readonly method: number;
  readonly offset: number;
}

/** Larger members are not records. */
const MOST = 256 << 20;

export class Zip {
  readonly #file: number;
  readonly members: readonly ZipMember[];

  /** Opens an archive. Throws an Error that says what is wrong with it. */
  constructor(path: string) {
    this.#file = openSync(path, 'r');
    try {
      this.members = this.#directory();
    } catch (error) {
      closeSync(this.#file);
      throw error;
    }
  }

  /** The content of a member. Throws an Error that says what is wrong with it. */
  read(member: ZipMember): Buffer {
    if (member.size > MOST || member.compressed > MOST) throw new Error(`${member.name} is too large`);
    const head = this.#bytes(member.offset, 30);
    if (head.readUInt32LE(0) !== 0x04034b50) throw new Error(`${member.name} is not where the directory says`);
    const start = member.offset + 30 + head.readUInt16LE(26) + head.readUInt16LE(28);
    const bytes = this.#bytes(start, member.compressed);
    if (member.method === 0) return bytes;
    if (member.method !== 8) throw new Error(`${member.name} is compressed by method ${member.method}`);
    return inflateRawSync(bytes, { maxOutputLength: MOST });
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #bytes(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    if (readSync(this.#file, bytes, 0, length, offset) !== length) throw new Error('the archive is cut off');
    return bytes;
  }

  #directory(): ZipMember[] {
    const { size } = fstatSync(this.#file);
    const tail = this.#bytes(Math.max(0, size - 65_557), Math.min(size, 65_557));
    const end = tail.lastIndexOf(Buffer.from('504b0506', 'hex'));
    if (end < 0 || end + 22 > tail.length) throw new Error('it is not a zip archive');
    let length = tail.readUInt32LE(end + 12);
    let offset = tail.readUInt32LE(end + 16);
    const locator = end - 20;
    if (offset === 0xffffffff && locator >= 0 && tail.readUInt32LE(locator) === 0x07064b50) {
      const record = this.#bytes(Number(tail.readBigUInt64LE(locator + 8)), 56);
      length = Number(record.readBigUInt64LE(40));
      offset = Number(record.readBigUInt64LE(48));
    }
    if (offset + length > size) throw new Error('its directory is cut off');
    return entries(this.#bytes(offset, length));
  }
}

function entries(directory: Buffer): ZipMember[] {
  const members: ZipMember[] = [];
  for (let at = 0; at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50; ) {
    const nameLength = directory.readUInt16LE(at + 28);
    members.push({
      name: directory.subarray(at + 46, at + 46 + nameLength).toString('utf8'),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      compressed: directory.readUInt32LE(at + 20),
      size: directory.readUInt32LE(at + 24),
      offset: directory.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return members;
}
