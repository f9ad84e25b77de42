/** Hunks of unified diffs. */
import type { LineReader } from './lines.ts';

/** A hunk by its line numbers (from 1) in the old and the new file. */
export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  /** The lines with their sign (' ', '-', '+'), one character a byte; `\` after a line that has no newline. */
  readonly lines: readonly string[];
}

export const NO_NEWLINE = '\\ No newline at end of file';

/** No source file has that many lines; larger numbers lose digits. */
const MOST = 1e9;

/** A line that starts a hunk, wherever it stands. */
export const hunkStart = /^@@ -(\d{1,12})(?:,(\d{1,12}))? ?\+(\d{1,12})(?:,(\d{1,12}))? ?@/;

/**
 * Reads the next hunk; undefined if the next line does not start one. It ends when the counts of its first line are used
 * up. Blank context lines that were cut off at the end of the file are restored, as GNU patch does.
 * Error: `patch-malformed`.
 */
export function readHunk(reader: LineReader): Hunk | undefined {
  const first = reader.peek();
  if (first === undefined || !first.startsWith('@@ -')) return undefined;
  reader.next();
  const match = hunkStart.exec(first);
  if (match === null) throw reader.malformed('the first line of a hunk cannot be read');
  const [oldStart, oldLines, newStart, newLines] = [match[1], match[2] ?? 1, match[3], match[4] ?? 1].map(Number);
  if ([oldStart, oldLines, newStart, newLines].some((value) => value! > MOST))
    throw reader.malformed('a line number is too large');
  const lines = new Body(reader, oldLines!, newLines!).read();
  return { oldStart: oldStart!, oldLines: oldLines!, newStart: newStart!, newLines: newLines!, lines };
}

/** Reads the lines of one hunk. */
class Body {
  readonly #reader: LineReader;
  #old: number;
  #new: number;
  readonly #lines: string[] = [];
  #changes = false;

  constructor(reader: LineReader, oldLines: number, newLines: number) {
    this.#reader = reader;
    this.#old = oldLines;
    this.#new = newLines;
  }

  read(): string[] {
    while (this.#old > 0 || this.#new > 0) this.#add(this.#next());
    if (!this.#changes) throw this.#reader.malformed('a hunk changes nothing');
    return this.#lines;
  }

  #next(): string {
    const line = this.#reader.next();
    if (line !== undefined) return line;
    if (this.#old === this.#new && this.#new <= 3) return ' ';
    throw this.#reader.malformed('it ends inside a hunk');
  }

  #add(line: string): void {
    const signed = isSigned(line) ? line : withSign(line);
    const sign = signed[0];
    if (sign !== ' ' && sign !== '-' && sign !== '+')
      throw this.#reader.malformed(
        'a line of a hunk starts with neither space, + nor -, or the hunk is shorter than its first line says',
      );
    if ((sign !== '+' && --this.#old < 0) || (sign !== '-' && --this.#new < 0))
      throw this.#reader.malformed('a hunk does not have the number of lines that its first line says');
    if (sign !== ' ') this.#changes = true;
    this.#lines.push(signed);
    const last = sign === '-' ? this.#old === 0 : sign === '+' ? this.#new === 0 : this.#old === 0 && this.#new === 0;
    if (last && this.#reader.takeNoNewline()) this.#lines.push(NO_NEWLINE);
  }
}

function isSigned(line: string): boolean {
  const sign = line[0];
  return sign === ' ' || sign === '+' || sign === '-';
}

/** A context line whose space an editor or a mail program removed; GNU patch reads `=` as a space too. */
function withSign(line: string): string {
  if (line === '' || line.startsWith('\t')) return ` ${line}`;
  return line.startsWith('=') ? ` ${line.slice(1)}` : line;
}
