/**
 * Searches messages, comments and documentation for the phrases in `tools/words.txt`, see `docs/style.md`.
 * Prints each occurrence with the suggested wording; exit status 1 if there is one.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Phrase {
  readonly pattern: RegExp;
  readonly instead: string;
}

const root = join(import.meta.dirname, '..');
const searched = /\.(ts|md|txt|h|spec|service|timer)$|^(Makefile|packaging\/(deb|man)\/)/;
/** Files that quote the phrases, and the licence. */
const exempt = new Set(['docs/style.md', 'tools/words.txt', 'LICENSE']);

const phrases = readPhrases(readFileSync(join(root, 'tools/words.txt'), 'utf8'));
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n');
for (const file of files) {
  if (!searched.test(file) || exempt.has(file) || file.includes('/fixtures/') || !existsSync(join(root, file)))
    continue;
  const text = readFileSync(join(root, file), 'utf8');
  for (const { line, found, instead } of occurrences(text)) {
    console.error(`${file}:${line}: "${found}" — write: ${instead}`);
    process.exitCode = 1;
  }
}

/** Lines `phrase = suggestion`; a phrase in slashes is a regular expression. `#` starts a comment. */
function readPhrases(text: string): Phrase[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [phrase, instead] = line.split(' = ');
    if (phrase === undefined || instead === undefined)
      throw new Error(`tools/words.txt: not 'phrase = suggestion': ${line}`);
    const source = /^\/.*\/$/.test(phrase) ? phrase.slice(1, -1) : `\\b${phrase}\\b`;
    return { pattern: new RegExp(source, 'gi'), instead };
  });
}

/** Occurrences in the text, also those that a line break of a comment or paragraph splits. Lines count from 1. */
function* occurrences(text: string): Generator<{ line: number; found: string; instead: string }> {
  const starts: number[] = [];
  let flat = '';
  for (const line of text.split('\n')) {
    starts.push(flat.length);
    flat += `${line.replace(/^\s*(?:\*|\/\/|#)?\s+/, '').trimEnd()} `;
  }
  for (const { pattern, instead } of phrases) {
    for (const match of flat.matchAll(pattern)) {
      yield { line: starts.filter((start) => start <= match.index).length, found: match[0], instead };
    }
  }
}
