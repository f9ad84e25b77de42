/** From the file that boots to the kernel's vmlinux: an ELF file with all code and data, at their addresses. */
import { failure } from '../base/errors/error.ts';
import { ELF_MAGIC, ET, PT, SHF, SHT, SIZE } from '../formats/elf/constants.ts';
import { decompress } from '../formats/payload.ts';
import type { Platform } from '../platform/platform.ts';
import { bootImageOf, platforms } from '../platform/registry.ts';
import { memoryBase } from './kallsyms/kallsyms-tables.ts';

/**
 * Unpacks a kernel image: what a machine boots, a packed or plain vmlinux, or a kernel's memory as it is. `file` is the name for
 * messages. Errors: `kernel-image-format`, `kernel-kallsyms`, `tool-missing`.
 */
export async function unpackImage(image: Buffer, file: string): Promise<Buffer> {
  const boot = bootImageOf(image);
  if (typeof boot === 'string') throw unreadable(file, boot);
  const payload = boot?.payload ?? image;
  const ready = asElf(payload, file);
  if (ready !== undefined) return ready;
  const unpacked = await decompress(payload, file);
  const vmlinux = boot?.memory === true ? elfOf(unpacked, file, boot.platform) : asElf(unpacked, file);
  if (vmlinux === undefined) throw unreadable(file, 'what is packed into it is not an ELF file');
  return vmlinux;
}

/** The kernel itself, if these bytes are one. */
function asElf(bytes: Buffer, file: string): Buffer | undefined {
  if (bytes.length > SIZE.EHDR && bytes.readUInt32BE(0) === ELF_MAGIC) return bytes;
  const platform = platforms().find(({ boot }) => boot.isFlat?.(bytes) === true);
  return platform === undefined ? undefined : elfOf(bytes, file, platform);
}

function unreadable(file: string, reason: string): Error {
  return failure('kernel-image-format', { file, reason }, { where: { file } });
}

/**
 * An ELF file around a kernel's memory: one segment, and one section of code, from the lowest symbol on. Error: `kernel-kallsyms`.
 */
function elfOf(memory: Buffer, file: string, platform: Platform): Buffer {
  const found = memoryBase(memory, platform);
  if (typeof found === 'string') throw failure('kernel-kallsyms', { file, reason: found }, { where: { file } });
  const base = found.address;
  const names = Buffer.from('\0.kernel\0.shstrtab\0');
  const start = 0x1000;
  const sections = start + memory.length + names.length;
  const out = Buffer.alloc(sections + 3 * SIZE.SHDR);
  memory.copy(out, start);
  names.copy(out, start + memory.length);
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  const le = platform.littleEndian;
  out.set([0x7f, 0x45, 0x4c, 0x46, 2, le ? 1 : 2, 1]);
  for (const [at, value] of [
    [16, ET.EXEC],
    [18, platform.machine],
    [52, SIZE.EHDR],
    [54, SIZE.PHDR],
    [56, 1],
    [58, SIZE.SHDR],
    [60, 3],
    [62, 2],
  ] as const) {
    view.setUint16(at, value, le);
  }
  const long = (at: number, value: bigint | number): void => view.setBigUint64(at, BigInt(value), le);
  if (found.baseAt !== undefined) long(start + found.baseAt, found.base);
  view.setUint32(20, 1, le);
  long(32, SIZE.EHDR);
  long(40, sections);
  view.setUint32(SIZE.EHDR, PT.LOAD, le);
  view.setUint32(SIZE.EHDR + 4, 7, le);
  [start, base, base, memory.length, memory.length].forEach((value, index) => {
    long(SIZE.EHDR + 8 + 8 * index, value);
  });
  const section = (index: number, values: readonly [name: number, type: number]): number => {
    const at = sections + index * SIZE.SHDR;
    view.setUint32(at, values[0], le);
    view.setUint32(at + 4, values[1], le);
    return at;
  };
  const kernel = section(1, [1, SHT.PROGBITS]);
  [SHF.ALLOC | SHF.EXECINSTR, base, start, memory.length].forEach((value, index) => {
    long(kernel + 8 + 8 * index, value);
  });
  const strings = section(2, [9, SHT.STRTAB]);
  long(strings + 24, start + memory.length);
  long(strings + 32, names.length);
  return out;
}
