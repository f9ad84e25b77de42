/**
 * The code of the target for run-pre matching: vmlinux, linked at its final addresses, or a module, laid out section by
 * section with symbolic relocations.
 */
import { sha256 } from '../base/digest.ts';
import type { LinkedField } from '../platform/common/run-pre.ts';
import type { KernelImage } from './image.ts';
import type { Kallsyms } from './kallsyms/kallsyms.ts';

/** What a relocated field points to before the addend is taken off: an address, or a symbol that the loader will find. */
export type FieldTarget =
  | { readonly kind: 'address'; readonly address: bigint }
  | { readonly kind: 'external'; readonly name: string; readonly addend: bigint };

export interface CodeSymbol {
  readonly name: string;
  readonly address: bigint;
  /** As livepatch counts: 0 where the name is unique in this object. */
  readonly sympos: number;
}

export interface RunningCode {
  /** `vmlinux` or the module's name. */
  readonly object: string;
  /** Symbols of that name that are defined here, in the order in which livepatch counts them. */
  symbols(name: string): readonly CodeSymbol[];
  /** Bytes at an address, a view; undefined if not all of them are there. */
  read(address: bigint, length: number): Uint8Array | undefined;
  /** What the field at `address` points to, before the addend is taken off. */
  target(address: bigint, field: LinkedField): FieldTarget | undefined;
  /** What a relocation at `address` says, in code whose relocations are still symbolic; undefined where none is. */
  symbolic?(address: bigint): FieldTarget | undefined;
  /** The first symbol behind `address`: where what is there must have ended. */
  nextAddress(address: bigint): bigint | undefined;
  /** Where the code at `address` ends at the latest: at the next symbol, or with its section. */
  end(address: bigint): bigint | undefined;
  /** Names of the symbols at exactly this address. */
  names(address: bigint): readonly string[];
  /** A name for an address, for messages: `meminfo_proc_show+0x10`. */
  describe(address: bigint): string;
}

/** The code of vmlinux by its image and its kallsyms. */
export function vmlinuxCode(image: KernelImage, kallsyms: Kallsyms): RunningCode {
  return {
    object: 'vmlinux',
    symbols: (name) => kallsyms.lookup(name),
    read: (address, length) => image.read(address, length),
    target(address, field) {
      const bytes = image.read(address, field.size);
      if (bytes === undefined) return undefined;
      const value = field.value(bytes, 0);
      return { kind: 'address', address: BigInt.asUintN(64, field.relative ? value + address : value) };
    },
    nextAddress: (address) => kallsyms.nextAddress(address),
    end: (address) => kallsyms.nextAddress(address),
    names: (address) => kallsyms.symbolsAt(address).map(({ name }) => name),
    describe(address) {
      const symbol = kallsyms.symbolOf(address);
      return symbol === undefined ? hex(address) : withOffset(symbol.name, address - symbol.address);
    },
  };
}

/**
 * SHA-256 of the code from `address` to its `end`, as the kernel's files hold it: the same wherever and whenever it is
 * taken. Undefined where no code is.
 */
export function codeDigest(code: RunningCode, address: bigint): string | undefined {
  const end = code.end(address);
  const bytes = end === undefined ? undefined : code.read(address, Number(end - address));
  return bytes === undefined ? undefined : sha256(bytes);
}

/** An address for messages. */
export const hex = (address: bigint): string => `0x${address.toString(16)}`;
/** A symbol with the distance from it. */
export const withOffset = (name: string, offset: bigint): string => (offset === 0n ? name : `${name}+${hex(offset)}`);
