/** The hunks of the difference of two source trees, each with its text. */
import type { FixHunk } from 'kpatch/advisories';

/** A hunk as it is in the diff. */
export interface PairHunk extends FixHunk {
  /** Lines that name the file before and after. */
  readonly head: string;
  readonly text: string;
}

/** The hunks of what `diff -u -N` prints. A file that only one side has is all in one hunk, from or to line 0. */
export function pairHunks(diff: Buffer): PairHunk[] {
  const lines = diff.toString('latin1').split('\n');
  const hunks: PairHunk[] = [];
  let [from, to] = ['', ''];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.startsWith('--- ')) from = line.slice(4);
    else if (line.startsWith('+++ ')) to = line.slice(4);
    const range = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
    if (range === null) continue;
    const [, oldStart = '', oldCount = '1', newStart = '', newCount = '1'] = range;
    const end = hunkEnd(lines, at + 1, Number(oldCount), Number(newCount));
    const body = lines.slice(at + 1, end);
    const path = to.replace(/^b\//, '');
    const old = oldStart === '0' && oldCount === '0' ? '/dev/null' : from;
    const now = newStart === '0' && newCount === '0' ? '/dev/null' : to;
    const side = (left: string): string[] =>
      body.filter((one) => one[0] === ' ' || one[0] === left).map((one) => one.slice(1));
    const head = `diff --git a/${path} b/${path}\n--- ${old}\n+++ ${now}\n`;
    hunks.push({ path, before: side('-'), after: side('+'), head, text: [line, ...body, ''].join('\n') });
    at = end - 1;
  }
  return hunks;
}

/** The line after a hunk, by its counts: a removed line may look like the head of a file. */
function hunkEnd(lines: readonly string[], start: number, oldCount: number, newCount: number): number {
  let [old, now, at] = [oldCount, newCount, start];
  for (; at < lines.length && (old > 0 || now > 0 || lines[at]!.startsWith('\\')); at++) {
    const [sign] = lines[at]!;
    if (sign === '-' || sign === ' ') old--;
    if (sign === '+' || sign === ' ') now--;
  }
  return at;
}
