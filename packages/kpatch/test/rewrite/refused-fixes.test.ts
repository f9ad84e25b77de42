/** `tools/refused.ts`: which fixes it passes over, what it keeps, and what it counts. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { mayBeRefused } from '../../../../tools/refused/screen.ts';
import { keep, known, type TriedFix } from '../../../../tools/refused/store.ts';
import { printTables } from '../../../../tools/refused/table.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-refused-test-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const base =
  'struct s { int a; };\nstatic int f(struct s *s)\n{\n\treturn s->a;\n}\nstatic int __init g(void)\n{\n\treturn 0;\n}\n';

test('only fixes of bodies of ordinary functions are passed over', () => {
  for (const [edit, expected] of [
    [(text: string) => text.replace('s->a', 's->a + 1'), false],
    [(text: string) => `#include <linux/a.h>\n#define A \\\n\t1\nint later(void);\n/* why */\n${text}`, false],
    [(text: string) => text.replace('int a;', 'int a, b;'), true],
    [(text: string) => `${text}static int limit = 4;\n`, true],
    [(text: string) => text.replace('return 0', 'return -1'), true],
  ] as const) {
    for (const [tree, text] of [
      ['old', base],
      ['new', edit(base)],
    ] as const) {
      mkdirSync(join(folder, tree), { recursive: true });
      writeFileSync(join(folder, tree, 'a.c'), text);
    }
    const fix = { name: 'a.c', kind: 'source file', files: ['a.c'] } as const;
    assert.equal(mayBeRefused(fix, join(folder, 'old'), join(folder, 'new')), expected, edit(base));
  }
});

const sources = { old: '1', new: '2' };
const fix = (id: string, more: Partial<TriedFix>): TriedFix => {
  const name = `${id}.c`;
  return { id, name, files: [name], release: '6.1.0', sources, result: 'built', detail: '', screened: false, ...more };
};

test('what is kept is counted: refused, built, proven, and whole fixes only', (t) => {
  const kept = join(folder, 'kept');
  mkdirSync(kept);
  const built = (...rules: string[]) => ({ result: 'built', detail: '', rules });
  for (const one of [
    fix('a', {}),
    fix('b', { result: 'cut' }),
    fix('c', {
      result: 'diff-layout-changed',
      detail: 'x [diff-layout-changed]',
      rewrite: built('padding'),
      proof: { verdict: 'proven', detail: '' },
    }),
    fix('d', {
      result: 'diff-init-changed',
      rewrite: built('init-part'),
      proof: { verdict: 'not proven', detail: '' },
    }),
    fix('e', { result: 'diff-data-changed', rewrite: { result: 'diff-data-changed', detail: '', rules: [] } }),
    // Drawn twice, it counts once.
    fix('f', { name: 'e.c', result: 'diff-data-changed', screened: true }),
  ])
    keep(kept, one);
  const lines: string[] = [];
  t.mock.method(console, 'log', (line: string) => lines.push(line));
  printTables(known(kept));
  const text = lines.join('\n');
  assert.match(text, /^\| 1 to 2 \| `c\.c` \| layout-changed \| proven \| padding \| {2}\|$/m);
  assert.match(text, /^\| 1 to 2 \| `d\.c` \| diff-init-changed \| not proven \| init-part \|/m);
  assert.match(
    text,
    /^Of 3 refused fixes, 2 are built after the rewriting \(67 of 100\), 1 of them proven \(33 of 100\)\.$/m,
  );
  assert.match(
    text,
    /^Of 4 fixes that change code.* 1 are built as they are and 1 with rewriting and no part left out \(together 50 of 100\); 0 failed\.$/m,
  );
});
