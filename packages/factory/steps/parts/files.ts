/** Patches of a series as files, as they are built: rewritten where a rule has changed them. */
import { join } from 'node:path';
import type { Factory, StoredPatch, StoredRewritings } from '../factory.ts';

export interface PatchFile {
  readonly file: string;
  /** Of what is in the file. */
  readonly digest: string;
  readonly rewritten?: readonly string[];
}

export async function rewritingsOf({ state }: Factory, release: string): Promise<StoredRewritings> {
  return (await state.read('rewritten', release)) ?? {};
}

/** Writes the patches to a folder, in order. Error: `factory-store`. */
export async function writePatches(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  folder: string,
): Promise<PatchFile[]> {
  const { blobs } = factory.state;
  const rewritings = await rewritingsOf(factory, release);
  const files: PatchFile[] = [];
  for (const [index, { digest: given, commit }] of patches.entries()) {
    const { digest, notes } = rewritings[given] ?? { digest: given };
    const file = join(folder, `${String(index + 1).padStart(4, '0')}-${commit.id.slice(0, 12)}.patch`);
    await blobs.copy(digest, file);
    files.push({ file, digest, ...(notes === undefined ? {} : { rewritten: notes }) });
  }
  return files;
}

/** The files that a patch changes. */
export function filesOf(patch: Buffer | undefined): string[] {
  const text = patch?.toString('latin1') ?? '';
  const both = [...text.matchAll(/^(?:---|\+\+\+) [ab]\/(\S+)$/gm)].map(([, file]) => file!);
  return [...new Set(both)];
}
