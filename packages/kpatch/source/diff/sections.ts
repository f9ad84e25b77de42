/**
 * Finds the diffs in a patch file: what stands around them (mails, signatures, lists of changes) is skipped. A diff starts
 * where GNU patch sees one, also indented or below other text, so that kpatch and GNU patch read the same changes. Where
 * that is not what git reads, the patch is refused.
 */
import { failure, type KpatchError } from '../../base/errors/error.ts';
import { readContextHunk, stars } from './context-hunk.ts';
import { type GitHeader, readGitLine } from './git-header.ts';
import { type Hunk, hunkStart, readHunk } from './hunk.ts';
import { displayed, indentOf, LineReader, malformed, type Wrapping } from './lines.ts';
import { gitNames, type HeaderName, headerName } from './names.ts';

/** Whether a file exists on one side of a diff: `none` is certain (/dev/null), `empty` means no lines. */
export type Existence = 'lines' | 'empty' | 'none';

/** The diff of one file. */
export interface Section {
  /** Line of the patch (from 1) at which its hunks start. */
  readonly line: number;
  readonly old: HeaderName | undefined;
  readonly new: HeaderName | undefined;
  /** The name of an `Index:` line, used where there are no others. */
  readonly index: string | undefined;
  readonly git: GitHeader | undefined;
  readonly before: Existence;
  readonly after: Existence;
  readonly hunks: readonly Hunk[];
  /** Sections with the same number come from one run of git: copies in it are copies of what was there before it. */
  readonly group: number;
}

export interface Found {
  readonly sections: readonly Section[];
  /** The lines that belong to no diff. */
  readonly around: readonly string[];
}

/**
 * Finds all diffs. Errors: `patch-malformed`, `patch-ambiguous`, `patch-binary`, `patch-special-file`, `patch-style`,
 * `patch-encoded`.
 */
export function findSections(file: string, lines: readonly string[]): Found {
  return new Scanner(file, lines).scan();
}

/** The header lines read so far of the diff that comes next. */
interface Header {
  minus?: HeaderName | undefined;
  plus?: HeaderName | undefined;
  asterisks?: HeaderName | undefined;
  index?: string | undefined;
  git?: GitHeader;
  prereq?: boolean;
  /** Some line that names a file was seen. */
  named?: boolean;
  indent?: number;
  nesting?: number;
  stripCr?: boolean;
}

class Scanner {
  readonly #file: string;
  readonly #lines: readonly string[];
  #at = 0;
  #header: Header = {};
  readonly #sections: Section[] = [];
  readonly #indents: number[] = [];
  readonly #around: string[] = [];
  #group = 0;
  /** Text that no header explains came since the last diff. */
  #text = false;
  /** A mail started since the last diff. */
  #mail = true;
  #quotedPrintable = false;
  #command: number | undefined;
  /** Line of a `diff` command whose diff was not found yet. */
  #announced: number | undefined;

  constructor(file: string, lines: readonly string[]) {
    this.#file = file;
    this.#lines = lines;
  }

  scan(): Found {
    while (this.#at < this.#lines.length) this.#line(this.#lines[this.#at]!);
    this.#endGitHeader();
    const other = this.#indents.findIndex((indent) => indent !== this.#indents[0]);
    if (other >= 0)
      throw this.#ambiguous(this.#sections[other]!.line, 'some of its diffs are indented and others are not');
    return { sections: this.#sections, around: this.#around };
  }

  #line(raw: string): void {
    const { columns, length } = indentOf(raw);
    const line = length === 0 ? raw : raw.slice(length);
    if (columns === 0) this.#refuseStyles(line);
    if (/^(?:\*\*\* \d+(?:,\d+)? \*{4}|--- \d+(?:,\d+)? -{4})$/.test(line)) this.#refuseSeparated();
    if (this.#startsHunk(line, columns)) return;
    this.#at++;
    if (this.#readName(line, raw, columns) || this.#readGit(line, raw, columns)) return;
    this.#readText(raw, line);
  }

  /** True if a diff was read. */
  #startsHunk(line: string, indent: number): boolean {
    const context = stars.test(line) && /^[ \tX]*\*\*\* \d/.test(this.#lines[this.#at + 1] ?? '');
    if (!line.startsWith('@@ -') && !context) return false;
    if (this.#header.named === true) {
      this.#readHunks(context, indent);
      return true;
    }
    if (context || hunkStart.test(line)) this.#refuseSeparated();
    return false;
  }

  /** A hunk of which the names are not known would be lost. In the text of a mail it is a quotation. */
  #refuseSeparated(): void {
    if (this.#sections.length > 0 && !this.#mail)
      throw malformed(this.#file, this.#at + 1, 'a hunk is separated from the names of its file');
  }

  #readHunks(context: boolean, indent: number): void {
    const header = this.#header;
    const line = this.#at + 1;
    if (header.prereq === true) throw this.#ambiguous(line, 'it has a Prereq: line, which only GNU patch obeys');
    const below = this.#lines[this.#at + 1] ?? '';
    const uneven = context && indentOf(below).columns !== indent;
    if (header.indent !== indent || uneven || /^[ \t]*X/.test(this.#lines[this.#at]!))
      throw this.#ambiguous(line, 'a hunk is indented differently from the names of its file');
    // As GNU patch does it: the names decide in a unified diff, the first line numbers in a context diff.
    const stripCr = context ? below.endsWith('\r') : header.stripCr === true;
    const wrapping: Wrapping = { indent, nesting: header.nesting ?? 0, stripCr };
    const reader = new LineReader(this.#file, this.#lines, this.#at, wrapping);
    const hunks: Hunk[] = [];
    const read = context ? readContextHunk : readHunk;
    for (let hunk = read(reader); hunk !== undefined; hunk = read(reader)) hunks.push(hunk);
    if (this.#quotedPrintable && hunks.some(({ lines }) => lines.some((text) => /=(?:[0-9A-F]{2}|$)/.test(text))))
      throw failure('patch-encoded', { file: this.#file, encoding: 'quoted-printable mail' }, this.#where(line));
    this.#checkEnd(reader);
    this.#at = reader.at;
    // A hunk can follow the header of git directly.
    const [left, right] = header.git?.names ?? [];
    const named = context ? [header.asterisks, header.minus] : [header.minus, header.plus];
    const none = named.every((name) => name === undefined);
    const [old, fresh] = none && left !== undefined ? [plainName(left), plainName(right!)] : named;
    this.#add({ line, old, new: fresh, hunks, indent });
  }

  /** Lines after the last hunk that look like more of it: readers that count and readers that look would disagree. */
  #checkEnd(reader: LineReader): void {
    const { at } = reader;
    for (let line = reader.next(); line !== undefined && /^[ \t+-]/.test(line); line = reader.next()) {
      if (/^--(?:\s*$|-)/.test(line)) break;
      if (/^[+-]/.test(line)) throw reader.malformed('a hunk has more lines than its first line says');
    }
    reader.at = at;
  }

  #add(found: Pick<Section, 'line' | 'old' | 'new' | 'hunks'> & { readonly indent: number }): void {
    const { git, index } = this.#header;
    const { indent, ...section } = found;
    if (this.#text && git === undefined) this.#group++;
    const [first] = section.hunks;
    const side = (lines: number | undefined, start: number | undefined, name: HeaderName | undefined): Existence =>
      name?.absent === true && (lines === 0 || lines === undefined)
        ? 'none'
        : lines === 0 && start === 0
          ? 'empty'
          : 'lines';
    const before = git?.created === true ? 'none' : side(first?.oldLines, first?.oldStart, section.old);
    const after = git?.deleted === true ? 'none' : side(first?.newLines, first?.newStart, section.new);
    const names = { index: (section.old ?? section.new) ? undefined : index };
    this.#sections.push({ ...section, ...names, git, before, after, group: this.#group });
    this.#indents.push(indent);
    this.#header = {};
    this.#text = false;
    this.#mail = false;
    this.#command = undefined;
    this.#announced = undefined;
  }

  /** Reads a line that names a file; true if it is one. */
  #readName(line: string, raw: string, indent: number): boolean {
    const header = this.#header;
    const dashed = /^(?:- )*(?=--- )/.exec(line)?.[0];
    const kind = line.slice(0, 4);
    if (dashed !== undefined) {
      header.minus = headerName(line.slice(dashed.length + 4));
      if (header.minus?.dated === true) header.nesting = dashed.length / 2;
    } else if (kind === '+++ ') {
      header.plus = headerName(line.slice(4));
    } else if (kind === '*** ' && !this.#isStars(this.#at - 2)) header.asterisks = headerName(line.slice(4));
    else if (line.startsWith('Index:')) header.index = headerName(line.slice(6))?.name;
    else if (line.startsWith('Prereq:')) {
      header.prereq = true;
      return true;
    } else return false;
    this.#requireHunk();
    header.named = true;
    header.indent = indent;
    if (kind !== '*** ') header.stripCr = raw.endsWith('\r');
    return true;
  }

  /** Two lines with names must be followed by a hunk: without one the patch was cut off. */
  #requireHunk(): void {
    const [above, line, below, more] = [-2, -1, 0, 1].map((step) => this.#lines[this.#at + step] ?? '');
    const unified = /^[ \t]*(?:- )*--- /.test(above!) && /^[ \t]*\+\+\+ /.test(line!);
    const context = /^[ \t]*\*\*\* /.test(above!) && !this.#isStars(this.#at - 3) && /^[ \t]*--- /.test(line!);
    const follows = unified ? /^[ \tX]*@@ -/.test(below!) : this.#isStars(this.#at) && /^[ \tX]*\*\*\* \d/.test(more!);
    if ((unified || context) && !follows)
      throw malformed(this.#file, this.#at, 'the names of a file are not followed by a hunk');
  }

  #isStars(at: number): boolean {
    return /^[ \tX]*\*{8}/.test(this.#lines[at] ?? '');
  }

  /** Reads a line of git's own header; true if it is one. */
  #readGit(line: string, raw: string, indent: number): boolean {
    if (line.startsWith('diff --git ')) {
      this.#endGitHeader();
      if (this.#text) this.#group++;
      this.#text = false;
      this.#announced = this.#at;
      const names = gitNames(line.slice(11));
      const { prereq = false } = this.#header;
      const git = { line: this.#at, names, indent };
      this.#header = { git, prereq, named: true, indent, stripCr: raw.endsWith('\r') };
      return true;
    }
    const { git } = this.#header;
    if (git === undefined) return false;
    const target = displayed(git.names?.[1] ?? 'a file');
    if (line.startsWith('GIT binary patch'))
      throw failure('patch-binary', { file: this.#file, target }, this.#where(this.#at));
    const more = readGitLine(git, line);
    if (more === undefined) return false;
    this.#header.git = more;
    if (more.special !== undefined)
      throw failure('patch-special-file', { file: this.#file, target, kind: more.special }, this.#where(this.#at));
    return true;
  }

  /** A header of git without hunks: an empty file, a rename, a mode. */
  #endGitHeader(): void {
    const { git, minus, plus } = this.#header;
    if (git?.changes !== true || minus !== undefined || plus !== undefined) return;
    const [old, fresh] = (git.names ?? []).map(plainName);
    this.#add({ line: git.line, old, new: fresh, hunks: [], indent: git.indent });
  }

  /** A line that belongs to no diff. */
  #readText(raw: string, line: string): void {
    this.#around.push(raw);
    if (/^(?:From |From: |Subject: |Date: )/.test(raw)) {
      this.#mail = true;
      this.#announced = undefined;
    }
    if (line.startsWith('diff -')) this.#announced = this.#at;
    else if (this.#announced !== undefined && /^(?:\+|-(?!-))/.test(line))
      throw malformed(this.#file, this.#announced, 'the lines below this one are not a diff that can be read');
    const encoding = /^content-transfer-encoding:\s*([\w-]+)/i.exec(raw)?.[1];
    if (encoding !== undefined) this.#quotedPrintable = encoding.toLowerCase() === 'quoted-printable';
    if (raw.startsWith('From ')) this.#quotedPrintable = false;
    if (/\S/.test(raw) && !/^=+\s*$/.test(raw)) this.#text = true;
    if (this.#header.named !== true) return;
    if (this.#command !== undefined && (line === '.' || /^[<>] /.test(line))) {
      const style = line === '.' ? 'an ed script' : 'a diff without context';
      throw failure('patch-style', { file: this.#file, style }, this.#where(this.#at));
    }
    if (isEdCommand(line)) this.#command ??= this.#at;
  }

  #refuseStyles(line: string): void {
    const file = this.#file;
    const where = this.#where(this.#at + 1);
    if (/^(?:@@@+ -|diff --(?:cc|combined) )/.test(line))
      throw failure('patch-style', { file, style: 'a combined diff of a merge' }, where);
    if (line.startsWith('Binary files ') && / differ\s*$/.test(line)) {
      const names = line.slice('Binary files '.length, line.lastIndexOf(' differ'));
      const target = names.slice(names.lastIndexOf(' and ') + 1).replace(/^and /, '');
      throw failure('patch-binary', { file, target: displayed(target) }, where);
    }
    // `diff -r` names both types of a file that became another one, as `File a is a symbolic link while file b is a regular
    // file`.
    if (line.startsWith('File ') && line.includes(' while file '))
      throw failure(
        'patch-special-file',
        { file, target: displayed(line.split(' ')[1]!), kind: 'another type of file' },
        where,
      );
  }

  #where(line: number): { where: { file: string; line: number } } {
    return { where: { file: this.#file, line } };
  }

  #ambiguous(line: number, problem: string): KpatchError {
    return failure('patch-ambiguous', { file: this.#file, problem }, this.#where(line));
  }
}

function plainName(name: string): HeaderName {
  return { name, absent: false, dated: false };
}

/** A command of ed as `diff -e` writes it, also the first line of a hunk of plain `diff`. */
export function isEdCommand(line: string): boolean {
  return /^\d[\d,]*(?:[acd][\d,]*|[is].*)\s*$/.test(line);
}
