/**
 * The index of a release folder in the store: the installed modules with their digests, and a committed change that is not
 * applied to the files yet. An installation takes effect when the index is written: before that the old patch boots, after
 * it the new one.
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
  /** How it was accepted; absent if an older version installed it, or where the policy of today does not accept it. */
  readonly acceptance?: Acceptance;
}

/** Under which policy a module was accepted. */
export interface Acceptance {
  /** Digest of the policy (see `policy.ts`); `none` where there was none. */
  readonly policy: string;
  /** When it was first accepted, ISO 8601: ages count from then. */
  readonly at: string;
  /** Keys that signed its proof and the module: SHA-256 of the public key, hexadecimal. */
  readonly keys: readonly string[];
}

/** What the user took out: an update does not put it back. */
export interface Unwanted {
  readonly name: string;
  readonly sha256: string;
  /** Of its manifest, where it is cumulative: its successors are not wanted either. */
  readonly line?: string;
  /** When it was uninstalled, ISO 8601. */
  readonly at: string;
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
  readonly unwanted?: readonly Unwanted[];
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
      [entry.name, entry.sha256, entry.installed].every((field) => typeof field === 'string') &&
      (entry.acceptance === undefined || isAcceptance(entry.acceptance)),
  );
  if (index.unwanted !== undefined && !isUnwantedList(index.unwanted)) return false;
  if (!good || index.pending === undefined) return good;
  const { staged, remove } = index.pending;
  return (staged === undefined || isPlainName(staged)) && Array.isArray(remove) && remove.every(isPlainName);
}

function isAcceptance(value: Acceptance | null): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof value.policy === 'string' &&
    !Number.isNaN(Date.parse(value.at)) &&
    Array.isArray(value.keys) &&
    value.keys.every((key: unknown) => typeof key === 'string')
  );
}

function isUnwantedList(list: unknown): boolean {
  return (
    Array.isArray(list) &&
    list.every(
      (one: Partial<Unwanted> | null) =>
        typeof one === 'object' &&
        one !== null &&
        [one.name, one.sha256, one.at].every((field) => typeof field === 'string') &&
        (one.line === undefined || typeof one.line === 'string'),
    )
  );
}
