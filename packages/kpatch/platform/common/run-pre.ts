/**
 * What run-pre match asks of a machine: how linked code differs from the object that it was made of, and in nothing else.
 */

/** A field that a relocation of one type fills in, as the linker or the module loader leaves it. */
export interface LinkedField {
  /** Bytes that the field is in, from the relocation's offset. */
  readonly size: number;
  /** The bits of these bytes that belong to the field; absent if all do. */
  readonly mask?: Uint8Array;
  /**
   * Where two fields make one address. `page` has the distance of its 4 KiB page from that of the field, `in page` the place in
   * it. `high` and `low` are added; the sum counts from the field that is `low`, or from the TOC pointer. Both relocations
   * have the same symbol, and mostly the same addend.
   */
  readonly part?: 'page' | 'in page' | 'high' | 'low';
  /** True if the value counts from the TOC pointer. */
  readonly fromToc?: boolean;
  /** Bytes of the instruction before the field, where linkers rewrite these too; absent: 0. */
  readonly before?: number;
  /** True if the field points to an entry of a table of addresses (GOT) that holds the target, unless it was rewritten. */
  readonly got?: boolean;
  /** True if the field is that of a branch, which may enter a function behind its first instructions (`RunPreRules.entry`). */
  readonly branch?: boolean;
  /** True if the value counts from the field's first byte. */
  readonly relative: boolean;
  /**
   * What an assembler adds to the addend of a reference in code, since the processor does not count from the field. The
   * target that people mean is the value plus this: 4 for a field at the end of its instruction.
   */
  readonly bias: number;
  /**
   * The value in bytes, sign-extended. The caller knows that `size` bytes are at `at`. `place` is the field's address, for a `page` that the
   * linker made a plain distance.
   */
  value(bytes: Uint8Array, at: number, place?: bigint): bigint;
}

/** A direct branch whose form may depend on the distance, so on where other functions lie. */
export interface Branch {
  /** Two branches of one kind do the same, whatever their size: the name of the instruction with its condition. */
  readonly kind: string;
  /** True for an unconditional jump. */
  readonly jump: boolean;
  /** Bytes from the start of the instruction to the field with the distance. */
  readonly at: number;
  /** That field, in the form that linker and module loader can fill in; absent for short forms, which they cannot. */
  readonly field?: LinkedField;
  /** Bytes from the start of the instruction to its target, as if no relocation applied. */
  readonly distance: number;
}

/** An instruction with a relocation as the linker rewrote it, because the target is near enough for a shorter way. */
export interface Rewritten {
  /** Our instruction in that form, from `LinkedField.before` bytes before its field on, which is where it was. */
  readonly bytes: Uint8Array;
  /**
   * `gone`: the upper part of an address is zero, so nothing computes it. `alone`: the lower part is used without the upper
   * one, which is zero.
   */
  readonly part?: 'gone' | 'alone';
  /** The field of that form, where it has other bits. */
  readonly field?: LinkedField;
  /** True if the address itself is computed that was loaded from a list of addresses (`Architecture.addressList`). */
  readonly direct?: boolean;
}

export interface RunPreRules {
  /**
   * The instruction `ours` (from `LinkedField.before` bytes before its field on), with a relocation of this type, as the linker
   * left it, if `theirs` shows that it rewrote it. Absent: linkers rewrite nothing.
   */
  rewritten?(type: number, ours: Uint8Array, theirs: Uint8Array): Rewritten | undefined;
  /** The NOP that linkers put in the place of an instruction that is `gone`. */
  readonly nop?: Uint8Array;
  /** The first instructions of a function, which branches of the same object pass by. Absent: there are none. */
  readonly entry?: { readonly length: number; isPassedBy(start: Uint8Array): boolean };
  /** The field of a relocation type in code; undefined for a type that linked code cannot be compared with. */
  field(type: number): LinkedField | undefined;
  /** The direct branch at `at` with these many bytes; undefined for other instructions. */
  branchAt(bytes: Uint8Array, at: number, length: number): Branch | undefined;
  /** True for instructions that do nothing and that compiler, assembler or linker put in as padding. */
  isNop(bytes: Uint8Array, at: number, length: number): boolean;
  /**
   * True if the compiler reaches several variables of a section from one address (gcc's -fsection-anchors, which the machine has on
   * by default): then a section for each variable changes the code, and units are also compiled without.
   */
  readonly sectionAnchors?: boolean;
}

/** A field of whole bytes, which is all of its relocation's width. */
export function plainField(size: 4 | 8, littleEndian: boolean, relative: boolean, bias = 0): LinkedField {
  return {
    size,
    relative,
    bias,
    value(bytes, at) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, size);
      return size === 4 ? BigInt(view.getInt32(0, littleEndian)) : view.getBigInt64(0, littleEndian);
    },
  };
}
