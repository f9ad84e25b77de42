/** Reads advisory files of any known format, and folders of them. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { readBytes, reasonOf } from '../base/files.ts';
import { object, parseJSON } from '../base/plain.ts';
import { namesBelow } from '../base/walk.ts';
import { type Changelog, parseChangelog, readChangelog } from './formats/changelog.ts';
import { isCsaf, readCsaf } from './formats/csaf.ts';
import { isCve5, readCve5 } from './formats/cve5.ts';
import { isKev, readKev } from './formats/kev.ts';
import { isOsv, readOsv } from './formats/osv.ts';
import { isTracker, readTracker } from './formats/tracker.ts';
import { type Advisory, join as joinRecords } from './record.ts';

export interface Sources {
  readonly advisories: ReadonlyMap<string, Advisory>;
  readonly changelogs: readonly Changelog[];
  /** Files of a folder that are not advisories, with the reason. */
  readonly skipped: readonly string[];
}

/**
 * Reads the files and, below folders, every `.json` file. The content shows the format.
 * Errors: `file-unreadable`, `channel-not-json`, `channel-unknown-advisory`, `channel-not-changelog`; in a folder a file
 * that is not one of these is only noted.
 */
export function readSources(paths: readonly string[]): Sources {
  const advisories = new Map<string, Advisory>();
  const changelogs: Changelog[] = [];
  const skipped: string[] = [];
  const take = (file: string): void => {
    const bytes = readBytes(file);
    const first = bytes.subarray(0, 256).toString('latin1').trimStart()[0];
    if (first !== '{' && first !== '[') {
      changelogs.push(readChangelog(file));
      return;
    }
    for (const advisory of readDocument(parseJSON(bytes, file), file)) {
      const known = advisories.get(advisory.id);
      advisories.set(advisory.id, known === undefined ? advisory : joinRecords(known, advisory));
    }
  };
  for (const path of paths) {
    if (!isFolder(path)) take(path);
    else {
      const names = namesBelow(path).filter((name) => name.endsWith('.json'));
      for (const name of names.sort()) {
        try {
          take(join(path, name));
        } catch (error) {
          skipped.push(`${join(path, name)}: ${(error as Error).message}`);
        }
      }
    }
  }
  return { advisories, changelogs, skipped };
}

/** The records of one parsed document, or of a list of documents. Error: `channel-unknown-advisory`. */
export function readDocument(document: unknown, file: string): Advisory[] {
  if (Array.isArray(document)) return document.flatMap((item) => readOne(item, file));
  return readOne(document, file);
}

function readOne(document: unknown, file: string): Advisory[] {
  const plain = object(document);
  if (isCve5(plain)) return readCve5(plain, file);
  if (isCsaf(plain)) return readCsaf(plain, file);
  if (isKev(plain)) return readKev(plain, file);
  if (isTracker(plain)) return readTracker(plain, file);
  if (isOsv(plain)) return readOsv(plain, file);
  throw failure('channel-unknown-advisory', { file }, { where: { file } });
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw failure('file-unreadable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
  }
}

/** Reads a changelog given as text, for what comes from a command's output. Error: `channel-not-changelog`. */
export function changelogOf(content: string, name: string): Changelog {
  const changelog = parseChangelog(content, name);
  if (changelog === undefined) throw failure('channel-not-changelog', { file: name, problem: 'it has no entries' });
  return changelog;
}
