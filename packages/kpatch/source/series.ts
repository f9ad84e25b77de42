/** From what a person names (patch files, a folder, a quilt-like `series` file) to the patches in their order. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { readPatch, type SourcePatch } from './patch.ts';

/**
 * Reads all patches that `names` stand for, in order. A folder stands for its `series` file, or for its *.patch and *.diff
 * files by name; a file called `series` for the files it lists (lines of `#` are comments, as in quilt).
 * Errors: `series-empty`, and those of `readPatch`.
 */
export function readSeries(names: readonly string[]): SourcePatch[] {
  return names.flatMap(expand).map(readPatch);
}

function expand(name: string): string[] {
  if (!existsSync(name) || !statSync(name).isDirectory()) return basename(name) === 'series' ? listed(name) : [name];
  const series = join(name, 'series');
  if (existsSync(series)) return listed(series);
  const files = readdirSync(name).filter((file) => /\.(patch|diff)$/.test(file));
  if (files.length === 0) throw fail('series-empty', { folder: name }, { where: { file: name } });
  return files.sort().map((file) => join(name, file));
}

function listed(series: string): string[] {
  const lines = readBytes(series).toString().split('\n');
  const names = lines.map((line) => line.replace(/(^|\s)#.*$/, '').trim()).filter((line) => line !== '');
  if (names.length === 0) throw fail('series-empty', { folder: series }, { where: { file: series } });
  // quilt allows `-p1` behind a name; the strip level is found from the patch itself.
  return names.map((line) => join(dirname(series), line.split(/\s+/)[0]!));
}
