/**
 * The index of one release's folder in the store: which modules are installed, with their digests, and a change that was
 * decided but is not carried out on the files yet. Writing the index is the one moment at which an installation takes
 * effect: before it the old patch boots, after it the new one.
 */
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { attribute } from '../machine/attribute.ts';

export interface IndexEntry {
  readonly name: string;
  /** Name of the file in the folder. */
  readonly file: string;
  readonly sha256: string;
  /** When it was installed, ISO 8601. */
  readonly installed: string;
}

/** A decided change: the file `staged` takes its place, then the files of `remove` go. Done again, it does no harm. */
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

/** Reads the index of a folder: empty where there is none, `damaged` where it cannot be understood. */
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

/** Writes the index so that a power cut leaves the old or the new one. Errors: `disk-full`, `file-unwritable`. */
export function writeIndex(folder: string, index: Index): void {
  writeAtomically(join(folder, NAME), `${JSON.stringify(index, null, 1)}\n`);
}

/** A plain file name that cannot lead out of the folder. */
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
