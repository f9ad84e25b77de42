/** The kernel's code and data as its image holds them: the vmlinux ELF, without symbols, read at virtual addresses. */
import { failure, KpatchError } from '../base/errors/error.ts';
import { readU64 } from '../formats/elf/bytes.ts';
import { ELF_MAGIC, PT, SHF, SHT, SIZE } from '../formats/elf/constants.ts';
import { ElfFile, type Segment } from '../formats/elf/file.ts';
import type { Platform } from '../platform/platform.ts';
import { architectureOf } from '../platform/registry.ts';
import { type ByteOrder, bigEndian, littleEndian } from './byte-order.ts';
import { FileRanges } from './file-ranges.ts';

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

export class KernelImage {
  readonly #bytes: Buffer;
  readonly #ranges: FileRanges | undefined;
  readonly file: string;
  readonly sections: readonly ImageSection[];
  /** `e_machine`; see `platform`. */
  readonly machine: number;
  readonly order: ByteOrder;
  readonly #elf: ElfFile;
  readonly #segments: readonly Segment[];

  /**
   * `bytes` is the whole ELF file, 64 bit; with `ranges`, which has the same bytes, what is not read yet is read when it is needed.
   * Error: `kernel-image-format`.
   */
  constructor(bytes: Buffer, file: string, ranges?: FileRanges) {
    this.#bytes = bytes;
    this.#ranges = ranges;
    this.file = file;
    this.#elf = elfOf(bytes, file);
    this.order = this.#elf.littleEndian ? littleEndian : bigEndian;
    this.machine = this.#elf.machine;
    this.#segments = this.#elf.segments.filter(({ type }) => type === PT.LOAD);
    this.sections = this.#elf.sections.map(({ name, addr, offset, size, type, flags }) => ({
      name,
      address: addr,
      offset,
      size,
      hasBytes: type !== SHT.NOBITS && type !== SHT.NULL,
      executable: (flags & SHF.EXECINSTR) !== 0,
    }));
  }

  /** The file at `path`, as the cache keeps it, read where it is looked at. Errors: `file-unreadable`, `kernel-image-format`. */
  static open(path: string): KernelImage {
    const ranges = new FileRanges(path);
    needHeaders(ranges);
    return new KernelImage(ranges.bytes, path, ranges);
  }

  /** The whole file. Error: `file-unreadable`. */
  get bytes(): Buffer {
    this.#ranges?.need(0, this.#bytes.length);
    return this.#bytes;
  }

  #part(offset: number, length: number): Buffer {
    this.#ranges?.need(offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  /** The machine that the kernel is for. Error: `elf-unsupported`. */
  get platform(): Platform {
    const { file, machine, order } = this;
    return architectureOf({ file, machine, littleEndian: order === littleEndian });
  }

  /** `length` bytes at a virtual address, a view; undefined if the file does not hold all of them. */
  read(address: bigint, length: number): Buffer | undefined {
    for (const { vaddr: start, offset, filesz } of this.#segments) {
      if (address < start || address + BigInt(length) > start + BigInt(filesz)) continue;
      const at = offset + Number(address - start);
      return this.#part(at, length);
    }
    return undefined;
  }

  /** The virtual address of a byte of the file; undefined if it is not loaded. */
  addressOf(fileOffset: number): bigint | undefined {
    const segment = this.#segments.find(({ offset, filesz }) => fileOffset >= offset && fileOffset < offset + filesz);
    return segment === undefined ? undefined : segment.vaddr + BigInt(fileOffset - segment.offset);
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
    return this.#part(section.offset, section.size);
  }

  /** GNU build-id in lower-case hexadecimal; undefined if there is none. */
  get buildId(): string | undefined {
    try {
      for (const { type, offset, size } of this.#elf.sections) if (type === SHT.NOTE) this.#part(offset, size);
      for (const { type, offset, filesz } of this.#elf.segments) if (type === PT.NOTE) this.#part(offset, filesz);
      return this.#elf.buildId();
    } catch (error) {
      if (error instanceof KpatchError) return undefined; // damaged notes
      throw error;
    }
  }

  /** The banner that /proc/version shows: `Linux version 6.1.0-56-amd64 (…) (…) #1 SMP …`; undefined if not found. */
  get banner(): string | undefined {
    const { bytes } = this;
    const at = bytes.indexOf('Linux version ');
    if (at < 0) return undefined;
    const end = bytes.indexOf('\n', at);
    return end < 0 || end - at > 1024 ? undefined : bytes.toString('latin1', at, end);
  }
}

/**
 * Reads what `ElfFile` looks at: the header, both tables and the names of the sections. Of a file whose header is not that of a
 * 64-bit ELF file, or whose tables are of another form than kernels have, everything is read. Error: `file-unreadable`.
 */
function needHeaders(ranges: FileRanges): void {
  const { bytes } = ranges;
  ranges.need(0, SIZE.EHDR);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const le = bytes[5] === 1;
  const usual = bytes.length >= SIZE.EHDR && view.getUint32(0) === ELF_MAGIC && bytes[4] === 2;
  const names = usual ? view.getUint16(62, le) : 0;
  const sections = usual ? readU64(view, 40, le) : 0;
  const count = usual ? view.getUint16(60, le) : 0;
  const entry = sections + names * SIZE.SHDR;
  if (!usual || count === 0 || names >= count || entry + SIZE.SHDR > bytes.length) {
    ranges.need(0, bytes.length);
    return;
  }
  ranges.need(readU64(view, 32, le), view.getUint16(56, le) * SIZE.PHDR);
  ranges.need(sections, count * SIZE.SHDR);
  ranges.need(readU64(view, entry + 24, le), readU64(view, entry + 32, le));
}

/** The image as an ELF file. Error: `kernel-image-format` with the reason. */
function elfOf(bytes: Buffer, file: string): ElfFile {
  try {
    return new ElfFile(bytes, file);
  } catch (cause) {
    if (!(cause instanceof KpatchError)) throw cause;
    const reason = cause.code === 'elf-not-elf' ? 'not a 64-bit ELF file' : cause.message;
    throw failure('kernel-image-format', { file, reason }, { where: { file }, cause });
  }
}
