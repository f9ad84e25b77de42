/** C as text: comments, strings and words, also where quotes are not closed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChangelog } from '#kpatch/advisory/formats/changelog.ts';
import { macrosOf, tokensOf, withoutComments } from '#kpatch/source/reach/c-text.ts';

test('comments become a space, strings stay, a comment sign in a string is none', () => {
  const cases: readonly [source: string, text: string][] = [
    ['a /* b */ c // d\ne', 'a   c  \ne'],
    ['"/* a */" /* b */', '"/* a */"  '],
    ["'\"' /* a */ '\"'", "'\"'   '\"'"],
    ['"a\\"/*b*/" c', '"a\\"/*b*/" c'],
    ['a \\\n b // c \\\n d', 'a  b  '],
    ["don't /* a */ x", "don't   x"],
    ['a /* open', 'a  '],
  ];
  for (const [source, text] of cases) assert.equal(withoutComments(source), text);
});

test('tokens: words, strings, punctuation, also in a text of any length', () => {
  const tokens = ['f', '(', '"a\\" b"', ',', "'\\''", ')', '##', "'", 'x'];
  const text = `f("a\\" b", '\\'') ## 'x`;
  assert.deepEqual(tokensOf(text), tokens);
  assert.deepEqual(tokensOf(text + ' '.repeat(2000)), tokens);
});

test('text that is long takes time in proportion to its length', () => {
  const long = 100_000;
  const inputs: readonly (() => unknown)[] = [
    () => withoutComments(`"${'\\"'.repeat(long)}`),
    () => tokensOf(`'${"\\'".repeat(long)}`),
    () => macrosOf(`#define a(b${' '.repeat(long)}c...) d`),
    () => parseChangelog('a (b) \n'.repeat(long / 10), 'changelog'),
    () => parseChangelog(`linux (1-1) x; y\n\n  * (${'CVE-2024-0001 '.repeat(long / 14)}\n\n -- a\n`, 'changelog'),
  ];
  for (const input of inputs) {
    const start = process.cpuUsage();
    input();
    const { user } = process.cpuUsage(start);
    assert.ok(user < 1_000_000, `${input} took ${user / 1000} ms`);
  }
});
