/**
 * The index of a release folder in the store: the installed modules with their digests, and a committed change that is not
 * applied to the files yet. An installation takes effect when the index is written: before that the old patch boots, after it
 * the new one.
 */
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { attribute } from '../machine/attribute.ts';

export interface IndexEntry {
  readonly name: string;
  /** File name of the index. */
  readonly file: string;
  readonly sha256: string;
  /** Time of the installation, ISO 8601. */
  readonly installed: string;
}

/** A committed change: move the file `staged` into place, then delete the files of `remove`. Idempotent. */
export interface PendingChange {
  readonly staged?: string;
  readonly remove: readonly string[];
}

export interface Index {
  readonly schema: 'kpatch.store/1';
  readonly entries: readonly IndexEntry[];
  readonly pending?: PendingChange;
}

const NAME = '.index.json';

/** Reads the index of a folder: empty if there is none, `damaged` if it is invalid. */
export function readIndex(folder: string): Index | 'damaged' {
  const text = attribute(join(folder, NAME));
  if (text === undefined) return { schema: 'kpatch.store/1', entries: [] };
  try {
    const value: unknown = JSON.parse(text);
    return isIndex(value) ? value : 'damaged';
  } catch {
    return 'damaged';
  }
}

/** Writes the index atomically: a power cut leaves the old or the new one. Errors: `disk-full`, `file-unwritable`. */
export function writeIndex(folder: string, index: Index): void {
  writeAtomically(join(folder, NAME), `${JSON.stringify(index, null, 1)}\n`);
}

/** True for a plain file name, which cannot lead out of the folder. */
export function isPlainName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name);
}

function isIndex(value: unknown): value is Index {
  const index = value as Index | null;
  if (typeof index !== 'object' || index === null || index.schema !== 'kpatch.store/1') return false;
  if (!Array.isArray(index.entries)) return false;
  const good = index.entries.every(
    (entry: IndexEntry | null) =>
      typeof entry === 'object' &&
      entry !== null &&
      isPlainName(entry.file) &&
      [entry.name, entry.sha256, entry.installed].every((field) => typeof field === 'string'),
  );
  if (!good || index.pending === undefined) return good;
  const { staged, remove } = index.pending;
  return (staged === undefined || isPlainName(staged)) && Array.isArray(remove) && remove.every(isPlainName);
}
