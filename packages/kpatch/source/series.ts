/** From what the user names (patch files, a folder, a `series` file as quilt writes it) to the patches in their order. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { displayed } from './diff/lines.ts';
import { readPatch, type SourcePatch } from './patch.ts';

/**
 * Reads all patches that `names` stand for, in order. A folder stands for its `series` file, or for its *.patch and *.diff
 * files by name; a file called `series` for the files it lists (`#` starts a comment, as in quilt).
 * Errors: `series-empty`, `series-option`, and those of `readPatch`.
 */
export function readSeries(names: readonly string[]): SourcePatch[] {
  return patchFiles(names).map(readPatch);
}

/** The patch files that `names` stand for, in order. Errors: `series-empty`, `series-option`. */
export function patchFiles(names: readonly string[]): string[] {
  return names.flatMap(expand);
}

function expand(name: string): string[] {
  if (!existsSync(name) || !statSync(name).isDirectory()) return basename(name) === 'series' ? listed(name) : [name];
  const series = join(name, 'series');
  if (existsSync(series)) return listed(series);
  const files = readdirSync(name).filter((file) => /\.(patch|diff)(\.(gz|xz|zst))?$/.test(file));
  if (files.length === 0) throw failure('series-empty', { folder: name }, { where: { file: name } });
  return files.sort().map((file) => join(name, file));
}

function listed(series: string): string[] {
  const lines = readBytes(series).toString('latin1').split('\n');
  const names = lines.flatMap((line, index) => listedName(series, line, index + 1));
  if (names.length === 0) throw failure('series-empty', { folder: series }, { where: { file: series } });
  return names.map((name) => join(dirname(series), name));
}

/** quilt allows options after a name. A strip level is found from the patch itself; anything else changes what the patch does. */
function listedName(series: string, line: string, number: number): string[] {
  const words = line.split(/\s+/).filter((word) => word !== '');
  const comment = words.findIndex((word) => word.startsWith('#'));
  const [name, ...options] = comment < 0 ? words : words.slice(0, comment);
  if (name === undefined) return [];
  const other = options.find((option) => !/^(?:-p\d+|-pab|-p|\d+|--strip=\d+)$/.test(option));
  if (other !== undefined)
    throw failure('series-option', { series, option: displayed(other) }, { where: { file: series, line: number } });
  return [Buffer.from(name, 'latin1').toString('utf8')];
}
