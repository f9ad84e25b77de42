/** What rules know beside the changed file: how the compiler laid out structures, and which other source uses them. */

/** A member at the outer level of a structure, in bytes from its start. */
export interface MemberPlace {
  /** Undefined for an unnamed structure or union. */
  readonly name: string | undefined;
  readonly start: number;
  /** The byte after it; the same as `start` for an array without a length. */
  readonly end: number;
}

export interface StructureLayout {
  readonly size: number;
  /** By their places. */
  readonly members: readonly MemberPlace[];
}

export interface SourceText {
  readonly file: string;
  readonly text: string;
  /** The text before the patch, if the patch changes it. */
  readonly before?: string;
}

export interface Surroundings {
  /** The layout before the patch; undefined if it is not known. */
  layout(struct: string): StructureLayout | undefined;
  /** Bytes of a named type like `spinlock_t` or `enum state`; undefined if they are not known. */
  sizeOf(type: string): number | undefined;
  /** Bytes of a type that names a number, an enumeration or a pointer; undefined if it is something else or not known. */
  numberSize(type: string): number | undefined;
  /** Source that mentions the structure, after the patch; the changed files are among it. */
  users(struct: string): readonly SourceText[];
}

/** Nothing is known beside the changed files. */
export function onlyFiles(files: readonly SourceText[]): Surroundings {
  return {
    layout: () => undefined,
    sizeOf: () => undefined,
    numberSize: () => undefined,
    users: (struct) => files.filter(({ text }) => new RegExp(`\\b${struct}\\b`).test(text)),
  };
}
