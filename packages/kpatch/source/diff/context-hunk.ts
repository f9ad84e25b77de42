/** Hunks of context diffs (`diff -c`), read as unified ones. */
import { type Hunk, NO_NEWLINE } from './hunk.ts';
import type { LineReader } from './lines.ts';

/** One of the two halves of a hunk. */
interface Half {
  readonly start: number;
  readonly count: number;
  /** Sign (' ', '-', '+', '!') and text; undefined if the half was left out because nothing changes in it. */
  lines: { readonly sign: string; readonly text: string; readonly noNewline: boolean }[] | undefined;
}

export const stars = /^\*{8}/;

/**
 * Reads the next hunk; undefined if the next line is not a row of stars. A half whose lines are left out consists of the
 * context of the other. Error: `patch-malformed`.
 */
export function readContextHunk(reader: LineReader): Hunk | undefined {
  const first = reader.peek();
  if (first === undefined || !stars.test(first)) return undefined;
  reader.next();
  const old = readHalf(reader, /^\*\*\* (\d{1,9})(?:,(\d{1,9}))?/, '-', (line) => line.startsWith('--- '));
  const fresh = readHalf(
    reader,
    /^--- (\d{1,9})(?:,(\d{1,9}))?/,
    '+',
    (line) => !/^(?: [ \t]|[+!](?:[ \t]|$)|\t|$)/.test(line),
  );
  if (old.lines === undefined && fresh.lines === undefined) throw reader.malformed('a hunk changes nothing');
  old.lines ??= fresh.lines!.filter(({ sign }) => sign === ' ');
  fresh.lines ??= old.lines.filter(({ sign }) => sign === ' ');
  const lines = merge(reader, old.lines, fresh.lines);
  if (!lines.some((line) => line.startsWith('-') || line.startsWith('+')))
    throw reader.malformed('a hunk changes nothing');
  // Where lines are added without context, `diff -C0` writes the number of the line above them.
  const oldCount = old.count === 1 && old.lines.length === 0 ? 0 : checked(reader, old, old.lines);
  const newCount = checked(reader, fresh, fresh.lines);
  return { oldStart: old.start, oldLines: oldCount, newStart: fresh.start, newLines: newCount, lines };
}

function readHalf(reader: LineReader, head: RegExp, own: '-' | '+', isLeftOut: (line: string) => boolean): Half {
  const match = head.exec(reader.next() ?? '');
  if (match === null) throw reader.malformed('the line numbers of a context diff are missing');
  const start = Number(match[1]);
  const count = match[2] === undefined ? (start === 0 ? 0 : 1) : start === 0 ? 0 : Number(match[2]) - start + 1;
  if (count < 0) throw reader.malformed('the line numbers of a context diff run backwards');
  const next = reader.peek();
  if (count === 0 || next === undefined || isLeftOut(next))
    return { start, count, lines: count === 0 ? [] : undefined };
  const lines: NonNullable<Half['lines']> = [];
  while (lines.length < count) {
    const line = reader.next();
    if (line === undefined) throw reader.malformed('it ends inside a hunk');
    const eaten = line === '' || line.startsWith('\t');
    const sign = eaten ? ' ' : line[0]!;
    if (sign !== ' ' && sign !== own && sign !== '!')
      throw reader.malformed('a hunk does not have the number of lines that its line numbers say');
    const text = eaten ? line : line.slice(/^[ \t]/.test(line.slice(1)) ? 2 : 1);
    const last = lines.length === count - 1;
    lines.push({ sign, text, noNewline: last && reader.takeNoNewline() });
  }
  return { start, count, lines };
}

function checked(reader: LineReader, { count }: Half, lines: readonly unknown[]): number {
  if (lines.length !== count)
    throw reader.malformed('a hunk does not have the number of lines that its line numbers say');
  return lines.length;
}

function merge(reader: LineReader, old: NonNullable<Half['lines']>, fresh: NonNullable<Half['lines']>): string[] {
  const lines: string[] = [];
  const put = (sign: string, { text, noNewline }: (typeof old)[number]): void => {
    lines.push(`${sign}${text}`);
    if (noNewline) lines.push(NO_NEWLINE);
  };
  let at = 0;
  let to = 0;
  while (at < old.length || to < fresh.length) {
    const [removed, added] = [group(old, at), group(fresh, to)];
    // `!` says that lines of one half stand for lines of the other.
    if (removed.some(({ sign }) => sign === '!') !== added.some(({ sign }) => sign === '!'))
      throw reader.malformed('the changed lines of the two halves of a hunk do not belong together');
    for (const line of removed) put('-', line);
    for (const line of added) put('+', line);
    at += removed.length;
    to += added.length;
    if (at >= old.length && to >= fresh.length) break;
    const [left, right] = [old[at++], fresh[to++]];
    if (left === undefined || right === undefined || left.text !== right.text || left.noNewline !== right.noNewline)
      throw reader.malformed('the two halves of a hunk have different context');
    put(' ', left);
  }
  return lines;
}

/** The changed lines from a place to the next line of context. */
function group(lines: NonNullable<Half['lines']>, from: number): NonNullable<Half['lines']> {
  let end = from;
  while (end < lines.length && lines[end]!.sign !== ' ') end++;
  return lines.slice(from, end);
}
