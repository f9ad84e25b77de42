/**
 * The patch that an installed one replaced, kept for `kpatch rollback`: in `.previous` of the release's folder in the store,
 * with its proof, its provenance and a record of what replaced it. One generation is kept.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { readJSON } from '../../base/plain.ts';
import { storedDocument } from '../../documents/form.ts';
import { proofBeside, proofPath, provenanceBeside, provenancePath } from '../../module/proof-path.ts';
import type { Machine } from '../machine/machine.ts';
import { foreign } from '../machine/owner.ts';
import type { ModuleFile } from './module-file.ts';
import { folderOf, type InstalledPatch, readInstalled } from './store.ts';

const FOLDER = '.previous';
const RECORD = 'record.json';

/**
 * Keeps the one patch that `by` replaces; several cannot be loaded in one step again, so they are not kept. The caller
 * holds the lock, and the files are still installed. Errors: `disk-full`, `file-unwritable`.
 */
export function keepPrevious(machine: Machine, by: ModuleFile, replaced: readonly InstalledPatch[]): void {
  const folder = join(folderOf(machine, by.release), FOLDER);
  const [patch] = replaced;
  if (patch === undefined || replaced.length > 1) return;
  const module = readInstalled(patch);
  const [proof, provenance] = [proofBeside(patch.path), provenanceBeside(patch.path)];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeAtomically(join(folder, patch.file), module.bytes);
  if (proof !== undefined) writeAtomically(proofPath(join(folder, patch.file)), proof);
  if (provenance !== undefined) writeAtomically(provenancePath(join(folder, patch.file)), provenance);
  const { name, file } = patch;
  const record = { schema: 'kpatch.previous/1', by: by.sha256, name, file, sha256: module.sha256 };
  writeAtomically(join(folder, RECORD), JSON.stringify(record));
}

/** The patch that the module with the digest `by` replaced; undefined if none is kept. Never throws. */
export function previousOf(machine: Machine, release: string, by: string): InstalledPatch | undefined {
  try {
    const folder = join(folderOf(machine, release), FOLDER);
    if (foreign([folder, join(folder, RECORD)]) !== undefined) return undefined;
    const record = storedDocument('kpatch.previous/1', readJSON(join(folder, RECORD)));
    if (record.by !== by) return undefined;
    const { name, file, sha256 } = record;
    return { name, release, file, path: join(folder, file), sha256, installed: undefined };
  } catch {
    return undefined;
  }
}
