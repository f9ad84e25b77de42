/** Reads small files of sysfs and procfs; a file that the kernel does not have is `undefined`, not an error. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, type Stats, statSync } from 'node:fs';

/**
 * The trimmed text; `undefined` if it cannot be read (absent, not permitted, task gone). What is not a regular file cannot be
 * read: a named pipe in an image would block for ever.
 */
export function attribute(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return fstatSync(fd).isFile() ? readFileSync(fd, 'utf8').trim() : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** A number; `undefined` if it is absent or not a number. */
export function numberAttribute(path: string): number | undefined {
  const text = attribute(path);
  if (text === undefined || !/^-?\d+$/.test(text)) return undefined;
  return Number(text);
}

/** `1`, `Y` or `y` is true; `undefined` if it is absent. */
export function flagAttribute(path: string): boolean | undefined {
  const text = attribute(path);
  return text === undefined ? undefined : /^[1Yy]/.test(text);
}

/** Names in a folder, sorted; empty if the folder does not exist. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** Names of subfolders, sorted; empty if the folder does not exist. */
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

/** The status of a file, following links; `undefined` if it does not exist. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
