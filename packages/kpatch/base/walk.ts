/**
 * Walks through folders without following symbolic links. `readdirSync` with `recursive` follows them (seen with Node 26): out of the folder
 * that somebody else has filled, and in circles.
 */
import { type Dirent, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Everything below a folder, each folder before what is in it. A link is an entry and nothing more. Errors: those of readdir(3). */
export function* entriesBelow(folder: string): Generator<Dirent<string>> {
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const entry of readdirSync(next, { withFileTypes: true })) {
      yield entry;
      if (entry.isDirectory()) open.push(join(next, entry.name));
    }
  }
}

/** Regular files below a folder, by their paths from there. Errors: those of readdir(3). */
export function filesBelow(folder: string): string[] {
  return namesOf(folder, (entry) => entry.isFile());
}

/** What is below a folder and no folder itself, by its path from there. Links are among them. Errors: those of readdir(3). */
export function namesBelow(folder: string): string[] {
  return namesOf(folder, (entry) => !entry.isDirectory());
}

function namesOf(folder: string, isWanted: (entry: Dirent<string>) => boolean): string[] {
  return Array.from(entriesBelow(folder))
    .filter(isWanted)
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
