/** Machine code for people, in the report of a proof: calls and data by name instead of by address. */
export interface CodeLine {
  /** Bytes from the start of the function. */
  readonly offset: number;
  readonly text: string;
}

/**
 * What an address means: a name, or a string in quotes. `at` and `end` are the offsets of the instruction and of what
 * follows it.
 */
export type NameAddress = (place: {
  readonly at: number;
  readonly end: number;
  readonly value: bigint;
}) => string | undefined;

/** A reference from the kernel's own code or data. */
export interface CodeReference {
  readonly at: bigint;
  readonly target: bigint;
  /** `pointer`: the code hands the address on, or a table holds it. */
  readonly by: 'call' | 'pointer';
}

export interface ListingRules {
  /**
   * The code as lines, at most `limit`. `start` is the address of the first byte; 0 where relocations give the addresses.
   */
  list(bytes: Uint8Array, start: bigint, limit: number, name: NameAddress): CodeLine[];
  /** The code without what fills the space up to the next function. */
  withoutPadding(bytes: Uint8Array): Uint8Array;
  /**
   * What a relocation's addend is off by, for a field whose instruction ends `toEnd` bytes after the field's start: added
   * to the addend it gives the place that is meant.
   */
  addendBias(type: number, toEnd: number): number;
  /** Calls of functions of `targets`, and pointers to them, in one section of the image. */
  references(
    section: { readonly bytes: Uint8Array; readonly address: bigint; readonly executable: boolean },
    targets: readonly bigint[],
  ): Iterable<CodeReference>;
}
