/** Small files of sysfs and procfs: read at once, and absent rather than an error where the kernel does not have them. */
import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';

/** The text without white space at its ends; `undefined` where it cannot be read (absent, not permitted, task gone). */
export function attribute(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** A number; `undefined` where it is absent or not a number. */
export function numberAttribute(path: string): number | undefined {
  const text = attribute(path);
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  return Number(text);
}

/** `1`, `Y` or `y` is true; `undefined` where it is absent. */
export function flagAttribute(path: string): boolean | undefined {
  const text = attribute(path);
  return text === undefined ? undefined : /^[1Yy]/.test(text);
}

/** Names in a folder, sorted; empty where there is none. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** Names of the folders in a folder, sorted; empty where there is none. */
export function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
}

/** What a path leads to, links followed; `undefined` where that is nothing. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
