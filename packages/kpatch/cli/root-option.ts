/** `--root`: the commands that can work on the image of a machine in a folder. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';

/** Adds `--root`. Its value becomes absolute, because package managers and units read paths from other folders. */
export function withRoot(command: Command, what = 'work on the system in this folder'): Command {
  return command.option('--root <folder>', what, rootFolder);
}

/** The parser of `--root`. A mistyped folder must not be created or reported as a machine without patches. */
export function rootFolder(given: string): string {
  if (statSync(given, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new InvalidArgumentError('It is not a folder.');
  }
  return resolve(given);
}
