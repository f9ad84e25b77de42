/**
 * The author's own test: a shell script that is run in the guest before, with and after the patch, with the phase in
 * `$KPATCH_PHASE`. What each phase must end in is declared in comments; without any it is fail, pass, fail.
 *
 *     # expect: before fail, with pass, after fail
 */
import { fail } from '../errors/error.ts';
import { sha256 } from '../util/digest.ts';
import { readBytes } from '../util/files.ts';

export const phases = ['before', 'with', 'after'] as const;
export type Phase = (typeof phases)[number];
export type Expectation = 'pass' | 'fail';

export interface TestScript {
  readonly file: string;
  readonly text: string;
  readonly sha256: string;
  readonly expect: Readonly<Record<Phase, Expectation>>;
  /** False where nothing was declared and the usual expectation holds. */
  readonly declared: boolean;
}

const usual: Readonly<Record<Phase, Expectation>> = { before: 'fail', with: 'pass', after: 'fail' };

/** Reads a test script and its declarations. Errors: `file-unreadable`, `prove-test-script`. */
export function readTestScript(file: string): TestScript {
  const bytes = readBytes(file);
  const refuse = (problem: string, line?: number): Error =>
    fail('prove-test-script', { file, problem }, { where: line === undefined ? { file } : { file, line } });
  if (bytes.includes(0)) throw refuse('it contains NUL bytes, so it is not a shell script');
  if (bytes.length > 1_000_000) throw refuse('it is larger than a megabyte');
  const text = bytes.toString('utf8');
  if (text.trim() === '') throw refuse('it is empty');
  const expect: Partial<Record<Phase, Expectation>> = {};
  for (const [at, line] of text.split('\n').entries()) {
    const declaration = /^\s*#\s*expect:\s*(.*)$/.exec(line)?.[1];
    if (declaration === undefined) continue;
    for (const part of declaration.split(',')) {
      const [, phase, outcome] = /^\s*(\w+)[\s=]+(\w+)\s*$/.exec(part) ?? [];
      if (!isPhase(phase) || (outcome !== 'pass' && outcome !== 'fail')) {
        throw refuse(`"${part.trim()}" is not one of before, with, after followed by pass or fail`, at + 1);
      }
      if (expect[phase] !== undefined && expect[phase] !== outcome) {
        throw refuse(`two things are expected of the phase "${phase}"`, at + 1);
      }
      expect[phase] = outcome;
    }
  }
  const declared = Object.keys(expect).length > 0;
  return { file, text, sha256: sha256(bytes), expect: { ...usual, ...expect }, declared };
}

function isPhase(word: string | undefined): word is Phase {
  return (phases as readonly (string | undefined)[]).includes(word);
}
