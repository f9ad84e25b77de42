/** What a machine's kernel images are like: the file that boots, and where its kernel is linked. */

/** A file that this machine boots. */
export interface BootImage {
  /** The part that holds the kernel: packed, an ELF file, or the kernel's memory as it is (see `isFlat`). */
  readonly payload: Buffer;
  /** True if what is packed is the kernel's memory from its first symbol on, without ELF headers. */
  readonly memory?: boolean;
  /** The release that a header says; the kernel's banner says it too. */
  readonly release?: string | undefined;
}

export interface BootImageRules {
  /**
   * Looks at a file: its payload if this machine boots files of this kind, undefined if not, a sentence if it is one that
   * cannot be used ("its boot protocol is older than 2.08").
   */
  open(image: Buffer): BootImage | string | undefined;
  /** True if these bytes are a kernel's memory from its first symbol on, without ELF headers. */
  isFlat?(bytes: Buffer): boolean;
  /**
   * The relocation type (R_*_RELATIVE) with which a booting kernel fills in pointers of its own memory, in kernels that can be
   * placed anywhere: in the file such pointers are zero.
   */
  readonly relative?: number;
  /** The lowest address that kernels are linked at; nearly all symbols are at or above it. */
  readonly lowestAddress: bigint;
  /** Where the memory of all kernels begins that come without ELF headers; absent if they differ or show it themselves. */
  readonly linkedAt?: bigint;
  /** True if kallsyms has the addresses of per-CPU variables as they are (CONFIG_KALLSYMS_ABSOLUTE_PERCPU). */
  readonly absolutePerCpu: boolean;
}

/**
 * EFI's form of packed kernels (drivers/firmware/efi/libstub/zboot-header.S): a PE file with the magic `zimg`, then offset
 * and size of the payload.
 */
export function openEfiZboot(image: Buffer, peMachine: number): BootImage | string | undefined {
  if (image.length < 64 || image.toString('latin1', 0, 2) !== 'MZ' || image.toString('latin1', 4, 8) !== 'zimg')
    return undefined;
  const header = image.readUInt32LE(0x3c);
  if (header + 6 > image.length || image.readUInt16LE(header + 4) !== peMachine) return undefined;
  const [start, size] = [image.readUInt32LE(8), image.readUInt32LE(12)];
  if (start + size > image.length || size < 16) return 'it is cut short';
  return { payload: image.subarray(start, start + size) };
}
