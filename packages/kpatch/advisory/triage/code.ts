/** Looks for a fix in a source: are its new lines already there, or the lines that it replaces? */
import type { Fix, FixHunk, KernelCode } from './kernel.ts';

/** `fixed`: every change is there; `partly`: some are; `vulnerable`: the old lines are there; `unclear`: neither was found. */
export type CodeState = 'fixed' | 'partly' | 'vulnerable' | 'unclear';

export interface CodeAnswer {
  readonly state: CodeState;
  /** The fix that decided it. */
  readonly fix: string;
  readonly text: string;
}

const isCode = /\.[chS]$/;

/** What the source says of a CVE with these fixes, of which each is enough; undefined if no fix changes code. */
export function codeAnswer(fixes: readonly Fix[], code: KernelCode): CodeAnswer | undefined {
  const answers = fixes.flatMap((fix) => answerOf(fix, code) ?? []);
  for (const state of ['fixed', 'partly', 'vulnerable', 'unclear'] as const) {
    const found = answers.find((answer) => answer.state === state);
    if (found !== undefined) return found;
  }
  return undefined;
}

function answerOf(fix: Fix, code: KernelCode): CodeAnswer | undefined {
  const hunks = fix.hunks.filter(({ path }) => isCode.test(path));
  if (hunks.length === 0) return undefined;
  const texts = new Map<string, string | undefined>();
  const textOf = (path: string): string | undefined => {
    if (!texts.has(path)) {
      const text = code.text(path);
      texts.set(path, text === undefined ? undefined : normalized(text.split('\n')));
    }
    return texts.get(path);
  };
  const states = hunks.map((hunk) => hunkState(hunk, textOf(hunk.path)));
  const count = (state: string): number => states.filter((one) => one === state).length;
  const [done, old] = [count('fixed'), count('vulnerable')];
  const { name } = fix;
  const of = `of ${hunks.length} ${hunks.length === 1 ? 'change' : 'changes'}`;
  if (done === hunks.length) return { state: 'fixed', fix: name, text: `every change of ${name} is in the source` };
  if (done > 0 && old > 0)
    return { state: 'partly', fix: name, text: `${done} ${of} of ${name} are in the source, ${old} are not` };
  if (old > 0) return { state: 'vulnerable', fix: name, text: `the lines that ${name} replaces are in the source` };
  const missing = hunks.find(({ path }) => textOf(path) === undefined)?.path;
  const why = missing === undefined ? 'neither its old nor its new lines were found' : `the source has no ${missing}`;
  return { state: 'unclear', fix: name, text: `the source does not decide about ${name}: ${why}` };
}

function hunkState(hunk: FixHunk, text: string | undefined): 'fixed' | 'vulnerable' | 'unclear' {
  if (text === undefined) return 'unclear';
  for (const context of contexts(hunk)) {
    const [before, after] = [holds(text, context.before), holds(text, context.after)];
    if (before !== after) return after ? 'fixed' : 'vulnerable';
    if (before) return 'unclear';
  }
  return 'unclear';
}

/** The hunk as it is; then with one line of context, where the change itself is long enough to be recognized. */
function* contexts(hunk: FixHunk): Generator<{ before: readonly string[]; after: readonly string[] }> {
  yield hunk;
  const { before, after } = hunk;
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const middle = [...before.slice(head, before.length - tail), ...after.slice(head, after.length - tail)];
  if (middle.filter((line) => /\w{3}.*\w{3}/.test(line)).length < 2) return;
  const cut = (lines: readonly string[]): readonly string[] =>
    lines.slice(Math.max(0, head - 1), lines.length - Math.max(0, tail - 1));
  yield { before: cut(before), after: cut(after) };
}

function holds(text: string, lines: readonly string[]): boolean {
  return lines.some((line) => line.trim() !== '') && text.includes(normalized(lines));
}

/** Lines between line ends, white space as one space each: distributions reformat what they carry back. */
function normalized(lines: readonly string[]): string {
  return `\n${lines.map((line) => line.trim().replace(/\s+/g, ' ')).join('\n')}\n`;
}
