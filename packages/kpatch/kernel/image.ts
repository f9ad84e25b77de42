/** The kernel's code and data as its image holds them: the vmlinux ELF, without symbols, read at virtual addresses. */
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { ELF_MAGIC, NT_GNU_BUILD_ID, PT, SHF, SHT, SIZE } from '../formats/elf/constants.ts';
import type { Platform } from '../platform/platform.ts';
import { architectureOf } from '../platform/registry.ts';
import { type ByteOrder, bigEndian, littleEndian } from './byte-order.ts';

export interface ImageSection {
  readonly name: string;
  readonly address: bigint;
  readonly offset: number;
  /** Bytes in memory. */
  readonly size: number;
  /** False for `.bss` and the like, which have no bytes in the file. */
  readonly hasBytes: boolean;
  readonly executable: boolean;
}

interface Segment {
  readonly address: bigint;
  readonly offset: number;
  readonly fileSize: number;
}

export class KernelImage {
  readonly bytes: Buffer;
  readonly file: string;
  readonly sections: readonly ImageSection[];
  /** `e_machine`; see `platform`. */
  readonly machine: number;
  readonly order: ByteOrder;
  readonly #segments: readonly Segment[];

  /** `bytes` is the whole ELF file, 64 bit. Error: `kernel-image-format`. */
  constructor(bytes: Buffer, file: string) {
    this.bytes = bytes;
    this.file = file;
    if (bytes.length < SIZE.EHDR || bytes.readUInt32BE(0) !== ELF_MAGIC || bytes[4] !== 2) {
      throw fail('kernel-image-format', { file, reason: 'not a 64-bit ELF file' }, { where: { file } });
    }
    this.order = bytes[5] === 2 ? bigEndian : littleEndian;
    const { u16, u32, u64 } = this.order;
    this.machine = u16(bytes, 0x12);
    this.#segments = this.#table(0x20, 0x36, 0x38, SIZE.PHDR, (at) => ({
      type: u32(bytes, at),
      address: u64(bytes, at + 16),
      offset: Number(u64(bytes, at + 8)),
      fileSize: Number(u64(bytes, at + 32)),
    })).filter(({ type, offset, fileSize }) => type === PT.LOAD && offset + fileSize <= bytes.length);
    this.sections = this.#readSections();
  }

  /** The file at `path`, as the cache keeps it. Errors: `file-unreadable`, `kernel-image-format`. */
  static open(path: string): KernelImage {
    return new KernelImage(readBytes(path), path);
  }

  /** The machine that the kernel is for. Error: `elf-unsupported`. */
  get platform(): Platform {
    const { file, machine, order } = this;
    return architectureOf({ file, machine, littleEndian: order === littleEndian });
  }

  /** `length` bytes at a virtual address, a view; undefined if the file does not hold all of them. */
  read(address: bigint, length: number): Buffer | undefined {
    for (const { address: start, offset, fileSize } of this.#segments) {
      if (address < start || address + BigInt(length) > start + BigInt(fileSize)) continue;
      const at = offset + Number(address - start);
      return this.bytes.subarray(at, at + length);
    }
    return undefined;
  }

  /** The virtual address of a byte of the file; undefined if it is not loaded. */
  addressOf(fileOffset: number): bigint | undefined {
    const segment = this.#segments.find(
      ({ offset, fileSize }) => fileOffset >= offset && fileOffset < offset + fileSize,
    );
    return segment === undefined ? undefined : segment.address + BigInt(fileOffset - segment.offset);
  }

  section(name: string): ImageSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /** The section that an address is in. */
  sectionAt(address: bigint): ImageSection | undefined {
    return this.sections.find(
      ({ address: start, size }) => start !== 0n && address >= start && address < start + BigInt(size),
    );
  }

  /** The bytes of a section, a view; undefined if there is no such section or it has no bytes. */
  content(name: string): Buffer | undefined {
    const section = this.section(name);
    if (section === undefined || !section.hasBytes) return undefined;
    return this.bytes.subarray(section.offset, section.offset + section.size);
  }

  /** GNU build-id in lower-case hexadecimal; undefined if there is none. */
  get buildId(): string | undefined {
    const notes = this.content('.notes') ?? this.content('.note.gnu.build-id');
    return notes === undefined ? undefined : buildIdOf(notes, this.order);
  }

  /** The banner that /proc/version shows: `Linux version 6.1.0-56-amd64 (…) (…) #1 SMP …`; undefined if not found. */
  get banner(): string | undefined {
    const at = this.bytes.indexOf('Linux version ');
    if (at < 0) return undefined;
    const end = this.bytes.indexOf('\n', at);
    return end < 0 || end - at > 1024 ? undefined : this.bytes.toString('latin1', at, end);
  }

  #readSections(): ImageSection[] {
    const { bytes } = this;
    const { u16, u32, u64 } = this.order;
    const raw = this.#table(0x28, 0x3a, 0x3c, SIZE.SHDR, (at) => ({
      nameAt: u32(bytes, at),
      type: u32(bytes, at + 4),
      flags: u64(bytes, at + 8),
      address: u64(bytes, at + 16),
      offset: Number(u64(bytes, at + 24)),
      size: Number(u64(bytes, at + 32)),
    }));
    const names = raw[u16(bytes, 0x3e)];
    return raw.map(({ nameAt, type, flags, address, offset, size }) => {
      const start = (names?.offset ?? 0) + nameAt;
      const end = bytes.indexOf(0, start);
      const name = names === undefined || end < 0 || end - start > 256 ? '' : bytes.toString('latin1', start, end);
      const hasBytes = type !== SHT.NOBITS && offset + size <= bytes.length;
      return { name, address, offset, size, hasBytes, executable: (flags & BigInt(SHF.EXECINSTR)) !== 0n };
    });
  }

  /** Reads one of the two header tables; records outside the file are left out. */
  #table<T>(offsetAt: number, sizeAt: number, countAt: number, minimum: number, read: (at: number) => T): T[] {
    const { bytes } = this;
    const { u16, u64 } = this.order;
    const start = Number(u64(bytes, offsetAt));
    const size = u16(bytes, sizeAt);
    const count = u16(bytes, countAt);
    const records: T[] = [];
    if (start === 0 || size < minimum) return records;
    for (let i = 0; i < count && start + (i + 1) * size <= bytes.length; i++) records.push(read(start + i * size));
    return records;
  }
}

/** Looks through ELF notes for the GNU build-id. */
function buildIdOf(notes: Buffer, { u32 }: ByteOrder): string | undefined {
  for (let at = 0; at + 12 <= notes.length; ) {
    const nameSize = u32(notes, at);
    const size = u32(notes, at + 4);
    const start = at + 12 + ((nameSize + 3) & ~3);
    if (nameSize > 64 || start + size > notes.length) return undefined;
    const name = notes.toString('latin1', at + 12, at + 12 + nameSize);
    if (u32(notes, at + 8) === NT_GNU_BUILD_ID && name === 'GNU\0') {
      return notes.toString('hex', start, start + size);
    }
    at = start + ((size + 3) & ~3);
  }
  return undefined;
}
