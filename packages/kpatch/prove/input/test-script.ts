/**
 * The author's test: a shell script that runs in the guest before, with and after the patch, with the phase in
 * `$KPATCH_PHASE`. Comments declare the expected result of each phase (default: fail, pass, fail) and what the test needs:
 *
 *     # expect: before fail, with pass, after fail
 *     # needs: module dummy nft_ct
 *     # needs: file trigger as /bin/trigger
 */

import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { readTestFile, type TestFile } from './test-file.ts';

export const phases = ['before', 'with', 'after'] as const;
export type Phase = (typeof phases)[number];
export type Expectation = 'pass' | 'fail';

export interface TestScript {
  readonly file: string;
  readonly text: string;
  readonly sha256: string;
  readonly expect: Readonly<Record<Phase, Expectation>>;
  /** False if nothing is declared, so that the default applies. */
  readonly declared: boolean;
  /** Modules that it may load, explicitly or implicitly. */
  readonly modules: readonly string[];
  /** Files that it needs in the guest. */
  readonly files: readonly TestFile[];
}

const usual: Readonly<Record<Phase, Expectation>> = { before: 'fail', with: 'pass', after: 'fail' };

/** Reads a test script and its declarations. Errors: `file-unreadable`, `prove-test-script`. */
export function readTestScript(file: string): TestScript {
  const bytes = readBytes(file);
  const refuse = (problem: string, line?: number): Error =>
    failure('prove-test-script', { file, problem }, { where: line === undefined ? { file } : { file, line } });
  if (bytes.includes(0)) throw refuse('it contains NUL bytes, so it is not a shell script');
  if (bytes.length > 1_000_000) throw refuse('it is larger than 1 MB');
  const text = bytes.toString('utf8');
  if (text.trim() === '') throw refuse('it is empty');
  const expect: Partial<Record<Phase, Expectation>> = {};
  const modules = new Set<string>();
  const files: TestFile[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const [, key, value = ''] = /^\s*#\s*(expect|needs):\s*(.*?)\s*$/.exec(line) ?? [];
    const wrong = (problem: string): Error => refuse(problem, at + 1);
    if (key === 'needs') {
      const [, kind, what = ''] = /^(module|file)\s+(.+)$/.exec(value) ?? [];
      if (kind === 'file') files.push(...readTestFile(what, file, wrong));
      else if (kind === 'module') for (const name of what.split(/[\s,]+/)) modules.add(moduleName(name, wrong));
      else throw wrong(`"${value}" must be "module" or "file" followed by a name`);
    }
    for (const part of key === 'expect' ? value.split(',') : []) {
      const [, phase, outcome] = /^\s*(\w+)[\s=]+(\w+)\s*$/.exec(part) ?? [];
      if (!isPhase(phase) || (outcome !== 'pass' && outcome !== 'fail')) {
        throw wrong(`"${part.trim()}" must be before, with or after, followed by pass or fail`);
      }
      if (expect[phase] !== undefined && expect[phase] !== outcome) {
        throw wrong(`the phase "${phase}" is declared twice`);
      }
      expect[phase] = outcome;
    }
  }
  const declared = Object.keys(expect).length > 0;
  const needs = { modules: [...modules], files };
  return { file, text, sha256: sha256(bytes), expect: { ...usual, ...expect }, declared, ...needs };
}

/**
 * The shell command that runs the test in a guest, in the folder of its files. `under` is a prefix such as `timeout 20`.
 */
export function testCommand(phase: Phase, under = ''): string {
  return `(cd /root && KPATCH_PHASE=${phase} ${under} sh /kpatch/test)`;
}

function moduleName(name: string, wrong: (problem: string) => Error): string {
  if (!/^[\w-]+$/.test(name)) throw wrong(`"${name}" is not a module name`);
  return name;
}

function isPhase(word: string | undefined): word is Phase {
  return (phases as readonly (string | undefined)[]).includes(word);
}
