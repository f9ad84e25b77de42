/** What is read of types in debug information. */

/** Tags of the entries that are read (DWARF 5, table 7.3). */
export const TAG = {
  array: 0x01,
  enumeration: 0x04,
  parameter: 0x05,
  member: 0x0d,
  pointer: 0x0f,
  compileUnit: 0x11,
  structure: 0x13,
  subroutine: 0x15,
  typedef: 0x16,
  union: 0x17,
  subrange: 0x21,
  base: 0x24,
  const: 0x26,
  subprogram: 0x2e,
  volatile: 0x35,
  restrict: 0x37,
  atomic: 0x47,
} as const;

export interface DwarfMember {
  /** Absent for unnamed structures and unions. */
  readonly name: string | undefined;
  /** From the start of the structure, in bits. */
  readonly bitOffset: number;
  /** Of a bit field; undefined for a whole member. */
  readonly bitSize: number | undefined;
  /** Key of its type in `DwarfTypes.types`. */
  readonly type: number | undefined;
}

export interface DwarfType {
  readonly tag: number;
  readonly name: string | undefined;
  /** Bytes, where the entry says so. */
  readonly size: number | undefined;
  /** Key of the type that it is made from. */
  readonly type: number | undefined;
  /** True if only the name is known here. */
  readonly declaration: boolean;
  readonly members: DwarfMember[];
  /** Of an array: the number of elements of each dimension, 0 where it is open. */
  readonly dimensions: number[];
}

/** A function that the object defines or inlines. */
export interface DwarfFunction {
  readonly name: string;
  /** Key of its type; undefined for `void`. */
  readonly type: number | undefined;
  readonly parameters: { readonly name: string | undefined; readonly type: number | undefined }[];
}

export interface DwarfTypes {
  readonly types: ReadonlyMap<number, DwarfType>;
  /** Functions with a body, in their order; copies that the compiler made (clones, inlined ones) are not repeated. */
  readonly functions: readonly DwarfFunction[];
  /** Bytes of a pointer. */
  readonly addressSize: number;
}
