/** A file that a patch changes. */
import type { Hunk } from './hunk.ts';

export interface PatchedFile {
  /** Path in the kernel source, after the patch. */
  readonly path: string;
  readonly kind: 'modify' | 'create' | 'delete' | 'rename' | 'copy';
  /** Path before the patch, where `kind` is rename or copy. */
  readonly from?: string;
  /** Permission bits, where the patch sets them. */
  readonly mode?: number;
  readonly hunks: readonly Hunk[];
  /** See `Section.group`. */
  readonly group: number;
}
