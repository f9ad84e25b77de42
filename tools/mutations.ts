/**
 * Do the tests notice faults? Draws places in the sources by a printed seed, changes each in a copy of the checkout (a comparison the
 * other way round, a condition negated, a number off by one, a statement left out), runs the tests that are closest to the file, and
 * prints which changes were caught. Status 0 if all were.
 *
 *   node tools/mutations.ts [--count 30] [--seed 1] [--room differ] [--tests 6]
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { plural } from '#kpatch/base/errors/plural.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { random } from './corpus/files.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    room: { type: 'string' },
    tests: { type: 'string', default: '6' },
  },
});

const root = join(import.meta.dirname, '..');
const program = 'packages/kpatch';

/** Tests of a changed file may take this long together; one that hangs has caught the change. */
const LIMIT_MS = 600_000;

/** What is changed into what. The patterns are written as the formatter writes code, so that they rarely match texts. */
const changes: readonly { readonly what: string; readonly from: RegExp; readonly to: string }[] = [
  { what: '=== becomes !==', from: / === /, to: ' !== ' },
  { what: '!== becomes ===', from: / !== /, to: ' === ' },
  { what: '< becomes <=', from: / < /, to: ' <= ' },
  { what: '<= becomes <', from: / <= /, to: ' < ' },
  { what: '>= becomes >', from: / >= /, to: ' > ' },
  { what: '&& becomes ||', from: / && /, to: ' || ' },
  { what: '|| becomes &&', from: / \|\| /, to: ' && ' },
  { what: '+ 1 becomes + 2', from: / \+ 1\b/, to: ' + 2' },
  { what: '- 1 is left out', from: / - 1\b/, to: '' },
  { what: 'true becomes false', from: /\breturn true;/, to: 'return false;' },
  { what: 'false becomes true', from: /\breturn false;/, to: 'return true;' },
  { what: 'a condition is negated', from: /\bif \((?!!)([\w.]+)\)/, to: 'if (!$1)' },
  { what: 'a statement is left out', from: /^ {2,}(?:continue;|break;|[\w.#]+\.(?:push|add|set)\(.*\);)$/, to: '' },
];

interface Mutation {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly what: string;
  readonly source: string;
}

function filesIn(folder: string, suffix: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(suffix))
    .map((path) => join(folder, path))
    .sort();
}

/** Every place of a file that can be changed: its code, without comments, imports and types. */
function mutationsOf(file: string): Mutation[] {
  const lines = readFileSync(join(root, file), 'utf8').split('\n');
  return lines.flatMap((line, index) => {
    if (/^\s*(?:\/\/|\/?\*|import\b|export type\b|type\b|\| )/.test(line)) return [];
    const code = line.replace(/\s\/\/ .*$/, '');
    return changes.flatMap(({ what, from, to }) => {
      const at = from.exec(code);
      // Within a text the change would be one of a message.
      if (at === null || (code.slice(0, at.index).match(/['"`]/g)?.length ?? 0) % 2 === 1) return [];
      const source = lines.with(index, line.replace(from, to)).join('\n');
      return [{ file, line: index + 1, what, source }];
    });
  });
}

/** The files that each file of the program imports. */
function imports(files: readonly string[]): Map<string, string[]> {
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(root, file), 'utf8');
      const named = [...text.matchAll(/(?:from|import\()\s*'((?:\.|#kpatch\/)[^']+)'/g)].map(([, name]) => name!);
      const paths = named.map((name) =>
        name.startsWith('#kpatch/') ? join(program, name.slice('#kpatch/'.length)) : join(dirname(file), name),
      );
      return [file, paths];
    }),
  );
}

/** How many imports lead from each test to the file, nearest first; tests that boot virtual machines are left to others. */
function testsFor(file: string, graph: ReadonlyMap<string, readonly string[]>): string[] {
  const room = relative(program, file).split('/')[0]!;
  const found: { test: string; distance: number; size: number }[] = [];
  for (const test of graph.keys()) {
    if (!test.endsWith('.test.ts') || test.includes('/test/vm/') || test.includes('/test/fuzz/')) continue;
    const seen = reach(test, graph);
    const distance = seen.get(file);
    if (distance === undefined) continue;
    found.push({ test, distance: distance + (test.includes(`/test/${room}/`) ? 0 : 2), size: seen.size });
  }
  // Of tests at the same distance, those that use the fewest files are the most specific.
  found.sort((a, b) => a.distance - b.distance || a.size - b.size || (a.test < b.test ? -1 : 1));
  return found.slice(0, Number(values.tests)).map(({ test }) => test);
}

/** The files that a file uses, each with the number of imports that lead to it. */
function reach(from: string, graph: ReadonlyMap<string, readonly string[]>): Map<string, number> {
  const seen = new Map([[from, 0]]);
  for (const [file, distance] of seen)
    for (const next of graph.get(file) ?? []) if (!seen.has(next)) seen.set(next, distance + 1);
  return seen;
}

/** A copy of the checkout without what was built, with the modules of this one. */
function copyInto(folder: string): void {
  const skipped = new Set(['node_modules', '.git', 'dist', 'build']);
  cpSync(root, folder, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) =>
      !relative(root, path)
        .split('/')
        .some((part) => skipped.has(part)),
  });
  mkdirSync(folder, { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
}

/** The name of the first test that fails with the change; undefined if all pass. */
async function caughtBy(
  copy: string,
  { file, source }: Mutation,
  tests: readonly string[],
): Promise<string | undefined> {
  const path = join(copy, file);
  const before = readFileSync(path);
  writeFileSync(path, source);
  try {
    for (const test of tests) {
      const args = ['--test', '--test-reporter=tap', `--test-timeout=${LIMIT_MS}`, test];
      const { status, stdout } = await run(process.execPath, args, { cwd: copy, timeoutMs: LIMIT_MS });
      if (status === 0) continue;
      const failed = [...stdout.toString().matchAll(/^\s*not ok \d+ - (.*)$/gm)].map(([, name]) => name!);
      return `${test}: ${failed[0] ?? 'it ended'}`;
    }
    return undefined;
  } finally {
    writeFileSync(path, before);
  }
}

const sources = filesIn(program, '.ts').filter((file) => !file.startsWith(`${program}/test/`));
const graph = imports(filesIn(program, '.ts'));
const next = random(Number(values.seed));
const candidates = sources.filter((file) => values.room === undefined || file.startsWith(`${program}/${values.room}/`));
if (candidates.length === 0) throw new Error(`there is no room ${values.room}`);
using folder = temporaryFolder('kpatch-mutations-');
copyInto(folder.path);
console.log(`${plural(Number(values.count), 'change')}, drawn with seed ${values.seed}\n`);
console.log('| place | change | caught by |\n|---|---|---|');
let survived = 0;
for (let drawn = 0; drawn < Number(values.count); ) {
  const file = candidates[Math.floor(next() * candidates.length)]!;
  const all = mutationsOf(file);
  const mutation = all[Math.floor(next() * all.length)];
  const tests = mutation === undefined ? [] : testsFor(file, graph);
  if (mutation === undefined || tests.length === 0) continue;
  drawn++;
  const by = await caughtBy(folder.path, mutation, tests);
  if (by === undefined) survived++;
  console.log(`| ${file}:${mutation.line} | ${mutation.what} | ${by ?? `**not caught** by ${tests.join(', ')}`} |`);
}
console.log(`\n${Number(values.count) - survived} of ${values.count} were caught`);
process.exitCode = survived === 0 ? 0 : 1;
