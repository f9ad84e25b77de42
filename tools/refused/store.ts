/** What came of each fix, in a folder: `ID/fix.json`, `ID/fix.patch`, and what the commands made beside them. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '#kpatch/base/files.ts';
import type { Hazard } from '#kpatch/review/hazard.ts';

export interface TriedFix {
  readonly id: string;
  readonly name: string;
  readonly files: readonly string[];
  /** The kernel that it was built for. */
  readonly release: string;
  /** Versions of the sources between which it is. */
  readonly sources: { readonly old: string; readonly new: string };
  /** `built`, `cut`, or the code of the error, from a build without rewriting. */
  readonly result: string;
  readonly detail: string;
  /** True if it was drawn among those that may be refused only, or by its name. */
  readonly screened: boolean;
  readonly hazards?: readonly Pick<Hazard, 'kind' | 'place' | 'reason'>[];
  readonly rewrite?: { readonly result: string; readonly detail: string; readonly rules: readonly string[] };
  readonly proof?: { readonly verdict: string; readonly detail: string } | undefined;
}

/** The folder of a fix. */
export function folderOf(folder: string, { id }: Pick<TriedFix, 'id'>): string {
  return join(folder, id);
}

/** Writes what is known, and the patch if it is given. */
export function keep(folder: string, fix: TriedFix, patch?: string): void {
  mkdirSync(folderOf(folder, fix), { recursive: true });
  if (patch !== undefined) writeAtomically(join(folderOf(folder, fix), 'fix.patch'), Buffer.from(patch, 'latin1'));
  writeAtomically(join(folderOf(folder, fix), 'fix.json'), `${JSON.stringify(fix, null, 1)}\n`);
}

/** All fixes that were tried, by their names. */
export function known(folder: string): TriedFix[] {
  return readdirSync(folder)
    .sort()
    .map((id) => join(folder, id, 'fix.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as TriedFix);
}
