/** Applying source patches to copies of the files in an overlay, with GNU patch, and saying exactly what did not fit. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../base/errors/error.ts';
import { run } from '../base/run.ts';
import type { SourceOverlay } from '../kbuild/overlay.ts';
import type { Hunk, PatchedFile, SourcePatch } from './patch.ts';

/** A hunk that did not fit where or as it was written. */
export interface Adjustment {
  readonly patch: string;
  readonly file: string;
  readonly hunk: number;
  /** Lines by which the place moved. */
  readonly offset: number;
  /** Lines of context that did not match; more than none deserves a look. */
  readonly fuzz: number;
  /** The lines of the file where it was put, with their numbers. */
  readonly lines: string;
}

/**
 * Applies one patch to the overlay's own copies. `release` names the source in messages; `series` are all patches, of
 * which those before this one have been applied.
 * Errors: `patch-file-missing`, `patch-file-exists`, `patch-already-applied` (of a series: `series-patch-applied`),
 * `patch-does-not-apply`, `tool-missing`.
 */
export async function applyPatch(
  overlay: SourceOverlay,
  patch: SourcePatch,
  release: string,
  series: readonly SourcePatch[] = [patch],
): Promise<Adjustment[]> {
  for (const file of patch.files) prepare({ overlay, patch, release, series }, file);
  const input = join(overlay.root, '.kpatch-input');
  writeFileSync(input, patch.text);
  const args = [`-p${patch.strip}`, '--forward', '--no-backup-if-mismatch', '--reject-file=-', '--verbose'];
  const result = await run('patch', [...args, '-i', input], {
    cwd: overlay.root,
    env: { LC_ALL: 'C', POSIXLY_CORRECT: undefined, PATCH_GET: '0' },
    timeoutMs: 60_000,
  });
  rmSync(input, { force: true });
  const report = readReport(`${result.stdout}`);
  if (result.status !== 0)
    throw refusal({ overlay, patch, release, series }, report, `${result.stdout}${result.stderr}`);
  return report.hunks
    .filter((hunk) => hunk.fuzz > 0)
    .map(({ file, hunk, offset, fuzz, line }) => {
      const length = patch.files.find(({ path }) => path === file)?.hunks[hunk - 1]?.newLines ?? 1;
      return { patch: patch.name, file, hunk, offset, fuzz, lines: excerpt(join(overlay.root, file), line, length) };
    });
}

/** What an application is about, for its errors. */
interface Application {
  readonly overlay: SourceOverlay;
  readonly patch: SourcePatch;
  readonly release: string;
  readonly series: readonly SourcePatch[];
}

function prepare(application: Application, file: PatchedFile): void {
  const { overlay, patch, release } = application;
  const source = file.from ?? file.path;
  overlay.copy(source);
  if (file.path !== source) overlay.copy(file.path);
  const exists = existsSync(join(overlay.root, source));
  const params = { file: patch.name, target: source, release };
  const where = { where: { file: patch.file } };
  if (file.kind === 'create' && exists) {
    const text = readFileSync(join(overlay.root, source), 'utf8');
    if (text === '') return; // an empty file that gets its first lines looks the same
    const same = text === addedText(file);
    throw same ? alreadyApplied(application, file.path) : fail('patch-file-exists', params, where);
  }
  if (file.kind !== 'create' && !exists) throw fail('patch-file-missing', params, where);
}

function addedText(file: PatchedFile): string {
  const lines = file.hunks.flatMap((hunk) => hunk.lines.filter((line) => line.startsWith('+')));
  return lines.map((line) => `${line.slice(1)}\n`).join('');
}

interface HunkReport {
  readonly file: string;
  readonly hunk: number;
  readonly line: number;
  readonly offset: number;
  readonly fuzz: number;
  readonly ok: boolean;
}

interface Report {
  readonly hunks: readonly HunkReport[];
  readonly reversed: string | undefined;
}

/** Reads what GNU patch prints with LC_ALL=C. */
function readReport(text: string): Report {
  const hunks: HunkReport[] = [];
  let file = '';
  let reversed: string | undefined;
  for (const line of text.split('\n')) {
    const patching = /^(?:patching|checking) file '?(.+?)'?(?: \(.*\))?$/.exec(line);
    if (patching !== null) file = patching[1]!;
    if (/^(?:Reversed \(or previously applied\) patch detected|.*previously applied)/.test(line)) reversed ??= file;
    const at =
      /^Hunk #(\d+) (succeeded|FAILED|ignored|NOT MERGED) at (\d+)(?: with fuzz (\d+))?(?: \(offset (-?\d+) lines?\))?/.exec(
        line,
      );
    if (at === null) continue;
    const [, hunk, outcome, place, fuzz, offset] = at;
    hunks.push({
      file,
      hunk: Number(hunk),
      line: Number(place),
      fuzz: Number(fuzz ?? 0),
      offset: Number(offset ?? 0),
      ok: outcome === 'succeeded',
    });
  }
  return { hunks, reversed };
}

/** Alone it is nothing to do; in a series the others remain, so nobody may take it for that. */
function alreadyApplied(application: Application, target: string): Error {
  const { patch, release, series } = application;
  const code = series.length > 1 ? 'series-patch-applied' : 'patch-already-applied';
  const detail = changedBefore(application, target);
  return fail(
    code,
    { file: patch.name, target, release },
    { where: { file: patch.file }, ...(detail === '' ? {} : { detail }) },
  );
}

/** Which earlier patches of the series changed the file. */
function changedBefore({ patch, series }: Application, target: string): string {
  const earlier = series.slice(0, series.indexOf(patch));
  const touched = earlier.filter(({ files }) => files.some(({ path }) => path === target)).map(({ name }) => name);
  return touched.length === 0 ? '' : `changed before it by: ${touched.join(', ')}`;
}

function refusal(application: Application, report: Report, said: string): Error {
  const { overlay, patch, release } = application;
  const where = { file: patch.file };
  if (report.reversed !== undefined) return alreadyApplied(application, report.reversed);
  const failed = report.hunks.find((hunk) => !hunk.ok);
  if (failed === undefined) {
    return fail(
      'patch-malformed',
      { file: patch.name, problem: 'GNU patch could not read it' },
      { where, detail: said },
    );
  }
  const hunk = patch.files.find(({ path }) => path === failed.file)?.hunks[failed.hunk - 1];
  return fail(
    'patch-does-not-apply',
    { file: patch.name, release, hunk: failed.hunk, target: failed.file },
    {
      where: { file: failed.file, line: hunk?.oldStart ?? failed.line },
      detail: [mismatch(overlay, failed, hunk), changedBefore(application, failed.file)].filter(Boolean).join('\n'),
    },
  );
}

/** What the hunk expects, and what the file has at that place. */
function mismatch(overlay: SourceOverlay, failed: HunkReport, hunk: Hunk | undefined): string {
  if (hunk === undefined) return '';
  const expected = hunk.lines
    .filter((line) => line.startsWith(' ') || line.startsWith('-'))
    .map((line) => line.slice(1));
  const found = excerpt(join(overlay.root, failed.file), hunk.oldStart, hunk.oldLines);
  const numbered = expected.map((line, index) => `${String(hunk.oldStart + index).padStart(6)}  ${line}`).join('\n');
  return `the patch expects:\n${numbered}\nthe file has:\n${found === '' ? '        (it ends before this line)' : found}`;
}

function excerpt(path: string, from: number, count: number): string {
  if (!existsSync(path)) return '';
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .slice(Math.max(0, from - 1), Math.max(0, from - 1) + count);
  return lines.map((line, index) => `${String(from + index).padStart(6)}  ${line}`).join('\n');
}

/** Folders that the patch's files lie in, relative to the tree. */
export function foldersOf(patch: SourcePatch): string[] {
  return [...new Set(patch.files.flatMap(({ path, from }) => [path, from ?? path]).map((path) => dirname(path)))];
}
