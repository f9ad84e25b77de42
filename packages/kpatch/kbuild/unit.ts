/** A compilation unit of a build. */
import type { Owner } from './object-map.ts';

export interface Unit {
  /** Path of its object file in the tree: `fs/proc/meminfo.o`. */
  readonly object: string;
  /** Where it is linked into; more than one where modules share a source file. */
  readonly owners: readonly Owner[];
  /** The changed files through which the patch reaches it: its own source, or headers. */
  readonly through: readonly string[];
  /** True if the patch adds it, so that all of its code is new. */
  readonly added?: boolean;
}

/** The object file of a source file. */
export function objectOf(source: string): string {
  return source.replace(/\.[cS]$/, '.o');
}

/** A unit and its object. */
export interface CompiledUnit {
  readonly unit: Unit;
  readonly bytes: Uint8Array;
  /** The files that the compiler read, relative to the tree. */
  readonly read: readonly string[];
}
