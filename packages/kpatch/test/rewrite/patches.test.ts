/** Rewriting patch files against a small tree: what is refused is an error, and nothing is written. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { failure, type KpatchError } from '#kpatch/base/errors/error.ts';
import type { KernelFacts } from '#kpatch/prepare/facts.ts';
import { rewritePatches } from '#kpatch/rewrite/patches.ts';
import { readSeries } from '#kpatch/source/series.ts';
import { provokes } from '../provoke.ts';
import { sourcePatch } from '../source/source-patch.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-rewrite-test-'));
  mkdirSync(join(folder, 'tree/a'), { recursive: true });
  writeFileSync(
    join(folder, 'tree/a/b.c'),
    'static int limit = 4;\nstatic int f(void)\n{\n\treturn limit;\n}\nstatic void __exit e(void)\n{\n}\n',
  );
});
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
async function rewrite(edit: (text: string) => string, names?: readonly string[], refusal?: KpatchError) {
  const patch = join(folder, 'fix.patch');
  writeFileSync(patch, sourcePatch(join(folder, 'tree'), { 'a/b.c': edit }));
  const facts = {
    kernel: { release: '6.1.0', paths: { tree: join(folder, 'tree') } },
    objects: async () => new Map([['a/b.o', []]]),
  } as unknown as KernelFacts;
  const work = join(folder, `work-${count++}`);
  mkdirSync(work);
  return await rewritePatches(facts, readSeries([patch]), work, names, refusal === undefined ? {} : { refusal });
}

test('a rule makes another patch', async () => {
  const { patch, notes } = await rewrite((text) => text.replace('= 4', '= 5'));
  assert.deepEqual(
    notes.map(({ rule, outcome }) => [rule, outcome]),
    [['initial-data', 'applied']],
  );
  assert.match(patch, /^Rewritten by kpatch rewrite: initial-data\n---\n--- a\/a\/b\.c/);
});

test('what a rule cannot show to be the same is refused, with the reason', async () => {
  const error = await provokes('rewrite-refused', () => rewrite((text) => text.replace('= 4', '= f()')));
  assert.equal(error.exit, 4);
  assert.match(error.message, /limit: its value is not a plain constant/);
});

test('with the refusal of a build only that counts which it is about', async () => {
  const about = (symbol: string) => failure('diff-data-changed', { name: symbol });
  const edit = (text: string): string => text.replace('= 4', '= f()');
  await provokes('rewrite-refused', () => rewrite(edit, undefined, about('limit')));
  await provokes('rewrite-nothing', () => rewrite(edit, undefined, about('limited')));
});

test('a patch of which nothing is left, and the refusal of initialisation code, which names no function', async () => {
  const edit = (text: string): string => text.replace('e(void)\n{\n', 'e(void)\n{\n\tf();\n');
  const error = await provokes('rewrite-refused', () => rewrite(edit));
  assert.match(error.message, /e: its change is left out: .*, and nothing else is left of the patch/);
  const name = 'cleanup_module';
  const refusal = failure('diff-init-changed', { name, section: '.exit.text', object: 'b' });
  await provokes('rewrite-refused', () => rewrite(edit, undefined, refusal));
});

test('without anything to rewrite, and for an unknown rule', async () => {
  await provokes('rewrite-nothing', () => rewrite((text) => text.replace('return limit', 'return limit + 1')));
  await provokes('usage', () => rewrite((text) => text.replace('= 4', '= 5'), ['magic']));
});
