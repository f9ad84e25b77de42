/** What GNU patch prints with LC_ALL=C. */

export interface HunkReport {
  /** Which of the diffs that it was given, from 0. */
  readonly diff: number;
  /** From 1. */
  readonly hunk: number;
  readonly line: number;
  /** Lines by which the place moved. */
  readonly offset: number;
  /** Lines of context that did not match. */
  readonly fuzz: number;
  readonly ok: boolean;
}

export interface Report {
  readonly hunks: readonly HunkReport[];
  /** The first diff that seems to be applied already. */
  readonly reversed: number | undefined;
  /** The first diff that removes a file which has more lines than the diff. */
  readonly remaining: number | undefined;
}

export function readReport(text: string): Report {
  const hunks: HunkReport[] = [];
  let diff = -1;
  let reversed: number | undefined;
  let remaining: number | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('patching file ')) diff++;
    if (
      /^(?:Reversed \(or previously applied\)|The next patch would .* which (?:already exists|does not exist))/.test(
        line,
      )
    )
      reversed ??= Math.max(0, diff);
    if (line.startsWith('Not deleting file ')) remaining ??= diff;
    const at =
      /^Hunk #(\d+) (succeeded|FAILED|ignored|NOT MERGED) at (\d+)(?: with fuzz (\d+))?(?: \(offset (-?\d+) lines?\))?/.exec(
        line,
      );
    if (at === null) continue;
    const [, hunk, outcome, place, fuzz, offset] = at;
    hunks.push({
      diff,
      hunk: Number(hunk),
      line: Number(place),
      fuzz: Number(fuzz ?? 0),
      offset: Number(offset ?? 0),
      ok: outcome === 'succeeded',
    });
  }
  return { hunks, reversed, remaining };
}
