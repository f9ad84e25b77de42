/** Applies source patches to the files of an overlay with GNU patch in the sandbox, and reports exactly what did not apply. */
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { temporaryFolder } from '../base/files.ts';
import type { RunResult } from '../base/run.ts';
import type { SourceOverlay } from '../kbuild/overlay.ts';
import { readOutput } from '../sandbox/output.ts';
import { sandboxed } from '../sandbox/sandbox.ts';
import { giveTree, shareFolder } from '../sandbox/user.ts';
import { type HunkReport, type Report, readReport } from './diff/gnu-report.ts';
import { displayed } from './diff/lines.ts';
import { writeDiffs } from './diff/write.ts';
import type { Hunk, PatchedFile, SourcePatch } from './patch.ts';

/** A hunk that was applied at another place or with fuzz. */
export interface Adjustment {
  readonly patch: string;
  readonly file: string;
  readonly hunk: number;
  /** Lines by which the place moved. */
  readonly offset: number;
  /** Fuzz: the number of context lines that did not match. If it is not 0, check the result. */
  readonly fuzz: number;
  /** The lines of the file where it was applied, with line numbers. */
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
  return await new Application(overlay, patch, release, series).run();
}

/** Applies one patch to an overlay. */
class Application {
  readonly #overlay: SourceOverlay;
  readonly #patch: SourcePatch;
  readonly #release: string;
  readonly #series: readonly SourcePatch[];
  /** Diffs of different files, which GNU patch gets in one go. */
  #pending: PatchedFile[] = [];
  readonly #adjustments: Adjustment[] = [];

  constructor(overlay: SourceOverlay, patch: SourcePatch, release: string, series: readonly SourcePatch[]) {
    this.#overlay = overlay;
    this.#patch = patch;
    this.#release = release;
    this.#series = series;
  }

  async run(): Promise<Adjustment[]> {
    const groups = Map.groupBy(this.#patch.files, ({ group }) => group);
    for (const files of groups.values()) {
      const moves = files.filter(({ from }) => from !== undefined);
      if (moves.length > 0) await this.#flush();
      for (const { from } of moves) this.#overlay.copy(from!);
      // git takes what is renamed or copied from the files as they were before all of its diffs.
      const sources = new Map(moves.map(({ from }) => [from!, this.#bytes(from!)]));
      for (const file of files) await this.#add(file, sources.get(file.from ?? ''));
    }
    await this.#flush();
    return this.#adjustments;
  }

  async #add(file: PatchedFile, source: Buffer | undefined): Promise<void> {
    const touched = this.#pending.some(({ path }) => path === file.path);
    if (touched || file.from !== undefined) await this.#flush();
    this.#prepare(file);
    if (file.from !== undefined) {
      writeFileSync(this.#path(file.path), source!);
      chmodSync(this.#path(file.path), statSync(this.#path(file.from)).mode);
      if (file.kind === 'rename') rmSync(this.#path(file.from));
    } else if (file.hunks.length === 0) {
      if (file.kind === 'create') writeFileSync(this.#path(file.path), '');
      if (file.kind === 'delete') await this.#removeEmpty(file);
    }
    if (file.hunks.length > 0) this.#pending.push(file);
    else this.#setMode(file);
  }

  async #flush(): Promise<void> {
    const files = this.#pending;
    if (files.length === 0) return;
    this.#pending = [];
    using temporary = temporaryFolder('kpatch-apply-');
    // The folder itself stays this user's, so that a later run removes it if this one is killed.
    shareFolder(temporary.path);
    const scratch = join(temporary.path, 'files');
    mkdirSync(scratch);
    const result = await this.#runPatch(files, scratch);
    const report = readReport(result.stdout.toString('latin1'));
    if (result.status !== 0) throw this.#refusal(files, report, `${result.stdout.toString('latin1')}${result.stderr}`);
    for (const { path } of files) this.#takeOver(scratch, path);
    for (const { diff, hunk, line, offset, fuzz } of report.hunks) {
      const file = files[diff]!;
      if (fuzz === 0) continue;
      const lines = this.#excerpt(file.path, line, file.hunks[hunk - 1]?.newLines ?? 1);
      this.#adjustments.push({ patch: this.#patch.name, file: file.path, hunk, offset, fuzz, lines });
    }
    for (const file of files) this.#setMode(file);
  }

  /** Runs GNU patch in the sandbox, on copies of the files and nothing else. */
  async #runPatch(files: readonly PatchedFile[], scratch: string): Promise<RunResult> {
    for (const { path } of files) {
      const copy = join(scratch, path);
      mkdirSync(dirname(copy), { recursive: true });
      if (existsSync(this.#path(path))) writeFileSync(copy, this.#bytes(path));
    }
    giveTree(scratch);
    return await sandboxed('patch', ['-d', scratch, '-p0', '--forward', '--no-backup-if-mismatch', '--reject-file=-'], {
      view: { writable: [scratch] },
      env: { LC_ALL: 'C', PATCH_GET: '0' },
      timeoutMs: 60_000,
      input: writeDiffs(files),
    });
  }

  /** Takes a file over as GNU patch left it. */
  #takeOver(scratch: string, path: string): void {
    if (lstatSync(join(scratch, path), { throwIfNoEntry: false }) === undefined) {
      rmSync(this.#path(path), { force: true });
      return;
    }
    writeFileSync(this.#path(path), readOutput(scratch, path));
  }

  #setMode({ path, kind, mode }: PatchedFile): void {
    if (mode !== undefined && kind !== 'delete') chmodSync(this.#path(path), mode);
  }

  /** Makes sure that the overlay has its own copies, and that the files are there or not as the patch says. */
  #prepare(file: PatchedFile): void {
    const source = file.from ?? file.path;
    this.#overlay.copy(source);
    this.#overlay.copy(file.path);
    const params = { file: this.#patch.name, target: source, release: this.#release };
    const where = { where: { file: this.#patch.file } };
    if (file.kind !== 'create' && !existsSync(this.#path(source))) throw failure('patch-file-missing', params, where);
    const exists = file.kind !== 'modify' && file.kind !== 'delete' && existsSync(this.#path(file.path));
    if (!exists) return;
    const text = this.#bytes(file.path).toString('latin1');
    if (file.kind === 'create' && text === '' && file.hunks.length > 0) return; // it gets its first lines
    if (file.kind === 'create' && text === addedText(file)) throw this.#alreadyApplied(file.path);
    throw failure('patch-file-exists', { ...params, target: file.path }, where);
  }

  async #removeEmpty(file: PatchedFile): Promise<void> {
    if (this.#bytes(file.path).length > 0) throw this.#doesNotApply(file, 0, undefined, 'the file is not empty');
    rmSync(this.#path(file.path));
  }

  /** Alone it means that there is nothing to do; in a series it must not, because the other patches remain. */
  #alreadyApplied(target: string): Error {
    const code = this.#series.length > 1 ? 'series-patch-applied' : 'patch-already-applied';
    const detail = this.#changedBefore(target);
    return failure(
      code,
      { file: this.#patch.name, target, release: this.#release },
      {
        where: { file: this.#patch.file },
        ...(detail === '' ? {} : { detail }),
        ...(code === 'patch-already-applied' ? { reason: 'already-applied' } : {}),
      },
    );
  }

  /** Which earlier patches of the series changed the file. */
  #changedBefore(target: string): string {
    const at = this.#series.findIndex(({ sections }) => sections === this.#patch.sections);
    const earlier = this.#series.slice(0, Math.max(0, at));
    const touched = earlier.filter(({ files }) => files.some(({ path }) => path === target)).map(({ name }) => name);
    return touched.length === 0 ? '' : `changed before it by: ${touched.join(', ')}`;
  }

  #refusal(files: readonly PatchedFile[], report: Report, said: string): Error {
    if (report.reversed !== undefined) return this.#alreadyApplied(files[report.reversed]!.path);
    const failed = report.hunks.find((hunk) => !hunk.ok);
    if (failed !== undefined) return this.#doesNotApply(files[failed.diff]!, failed.hunk, failed);
    if (report.remaining !== undefined) {
      const file = files[report.remaining]!;
      return this.#doesNotApply(
        file,
        file.hunks.length,
        undefined,
        'it removes the file, which has more lines than the patch',
      );
    }
    const problem = 'GNU patch cannot apply it';
    return failure(
      'patch-malformed',
      { file: this.#patch.name, problem },
      { where: { file: this.#patch.file }, detail: said },
    );
  }

  #doesNotApply(file: PatchedFile, hunk: number, failed: HunkReport | undefined, reason = ''): Error {
    const text = file.hunks[hunk - 1];
    const detail = [reason, failed === undefined ? '' : this.#mismatch(file, text), this.#changedBefore(file.path)];
    return failure(
      'patch-does-not-apply',
      { file: this.#patch.name, release: this.#release, hunk, target: file.path },
      {
        where: { file: file.path, line: text?.oldStart ?? failed?.line ?? 1 },
        detail: detail.filter((part) => part !== '').join('\n'),
      },
    );
  }

  /** What the hunk expects, and what the file has at that place. */
  #mismatch({ path }: PatchedFile, hunk: Hunk | undefined): string {
    if (hunk === undefined) return '';
    const expected = hunk.lines.filter((line) => line.startsWith(' ') || line.startsWith('-'));
    const numbered = expected.map((line, index) => numberedLine(hunk.oldStart + index, line.slice(1))).join('\n');
    const found = this.#excerpt(path, hunk.oldStart, hunk.oldLines);
    return `the patch expects:\n${numbered}\nthe file has:\n${found === '' ? '        (it ends before this line)' : found}`;
  }

  #excerpt(path: string, from: number, count: number): string {
    if (!existsSync(this.#path(path))) return '';
    const start = Math.max(0, from - 1);
    const lines = this.#bytes(path)
      .toString('latin1')
      .split('\n')
      .slice(start, start + count);
    return lines.map((line, index) => numberedLine(from + index, line)).join('\n');
  }

  #bytes(path: string): Buffer {
    const file = this.#path(path);
    return existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  }

  #path(path: string): string {
    return join(this.#overlay.root, path);
  }
}

function addedText(file: PatchedFile): string {
  const lines = file.hunks.flatMap((hunk) => hunk.lines.filter((line) => line.startsWith('+')));
  return lines.map((line) => `${line.slice(1)}\n`).join('');
}

function numberedLine(number: number, bytes: string): string {
  return `${String(number).padStart(6)}  ${displayed(bytes)}`;
}
