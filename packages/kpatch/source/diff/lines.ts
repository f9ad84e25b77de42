/**
 * The text of a patch as lines of bytes. A patch has no encoding: each character of these strings stands for one byte
 * (latin1), so what reaches the compiler is what the author wrote. `displayed` converts for messages.
 */
import { failure, type KpatchError } from '../../base/errors/error.ts';
import { printable } from '../../base/text/printable.ts';

/** What a mail program put around the lines of a diff. */
export interface Wrapping {
  /** Columns of white space before each line. */
  readonly indent: number;
  /** How often `- ` was put before lines that start with a dash (RFC 934, clear-signed mail). */
  readonly nesting: number;
  /** Whether lines end with CR LF. */
  readonly stripCr: boolean;
}

export const unwrapped: Wrapping = { indent: 0, nesting: 0, stripCr: false };

/** Bytes as text for people: UTF-8 where they are that, without control characters. */
export function displayed(bytes: string): string {
  return printable(Buffer.from(bytes, 'latin1').toString('utf8'));
}

/** The lines without their newlines. A last line without a newline counts as complete. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** White space at the start of a line: its columns and characters. GNU patch takes `X` for white space too. */
export function indentOf(line: string): { readonly columns: number; readonly length: number } {
  let columns = 0;
  let length = 0;
  for (; length < line.length; length++) {
    const character = line[length];
    if (character === '\t') columns = (columns + 8) & ~7;
    else if (character === ' ' || character === 'X') columns++;
    else break;
  }
  return { columns, length };
}

const HASH = 0x23;

/** Reads the lines of one diff without their wrapping. */
export class LineReader {
  readonly #file: string;
  readonly #lines: readonly string[];
  readonly #wrapping: Wrapping;
  readonly #plain: boolean;
  /** Index of the next line. */
  at: number;

  constructor(file: string, lines: readonly string[], at: number, wrapping: Wrapping) {
    this.#file = file;
    this.#lines = lines;
    this.#wrapping = wrapping;
    this.#plain = wrapping.indent === 0 && wrapping.nesting === 0 && !wrapping.stripCr;
    this.at = at;
  }

  /** The next line, undefined at the end. Like GNU patch it skips lines that start with `#`. */
  peek(): string | undefined {
    for (; this.at < this.#lines.length; this.at++) {
      const raw = this.#lines[this.at]!;
      const line = this.#plain ? raw : unwrap(raw, this.#wrapping);
      if (line.charCodeAt(0) !== HASH) return line;
    }
    return undefined;
  }

  next(): string | undefined {
    const line = this.peek();
    if (line !== undefined) this.at++;
    return line;
  }

  /** Takes the line `\ No newline at end of file` (in any language) if it is the next one. */
  takeNoNewline(): boolean {
    const line = this.#lines[this.at];
    if (line === undefined || !unwrap(line, this.#wrapping).startsWith('\\')) return false;
    this.at++;
    return true;
  }

  /** The error for the line that was read last. */
  malformed(problem: string): KpatchError {
    return malformed(this.#file, this.at, problem);
  }
}

/** The error for a line of a patch (from 1). */
export function malformed(file: string, line: number, problem: string): KpatchError {
  return failure('patch-malformed', { file, problem }, { where: { file, line } });
}

function unwrap(line: string, { indent, nesting, stripCr }: Wrapping): string {
  let at = 0;
  for (let columns = 0; columns < indent && at < line.length; at++) {
    const character = line[at];
    if (character === '\t') columns = (columns + 8) & ~7;
    else if (character === ' ' || character === 'X') columns++;
    else break;
  }
  for (let level = 0; level < nesting && line.startsWith('- ', at); level++) at += 2;
  const end = stripCr && line.endsWith('\r') ? line.length - 1 : line.length;
  return at === 0 && end === line.length ? line : line.slice(at, Math.max(at, end));
}
