/** Whether a live patch that is loaded on this machine already replaces a function. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';

/** Error: `shield-patched`. Looks only if the target is the running kernel; `root` is the root of the file system. */
export function requireUnpatched(
  name: string,
  target: { readonly release: string; readonly running: string; readonly root?: string },
): void {
  if (target.release !== target.running) return;
  const folder = join(target.root ?? '/', 'sys/kernel/livepatch');
  for (const patch of foldersIn(folder)) {
    for (const object of foldersIn(join(folder, patch))) {
      const names = foldersIn(join(folder, patch, object)).map((one) => one.replace(/,\d+$/, ''));
      if (names.includes(name)) throw failure('shield-patched', { patch, function: name });
    }
  }
}

function foldersIn(folder: string): string[] {
  try {
    return existsSync(folder)
      ? readdirSync(folder, { withFileTypes: true })
          .filter((one) => one.isDirectory())
          .map(({ name }) => name)
      : [];
  } catch {
    return [];
  }
}
