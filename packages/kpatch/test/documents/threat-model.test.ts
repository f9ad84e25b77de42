/** docs/threat-model.md names a test for each claim; each of them exists and carries out attacks, or tests what it is named for. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../../..');

test('every test that the threat model names exists, and every row of its tables names one', () => {
  const lines = readFileSync(join(root, 'docs/threat-model.md'), 'utf8').split('\n');
  const rows = lines.filter((line) => line.startsWith('| ') && !line.startsWith('| attack |'));
  assert.ok(rows.length > 30);
  for (const row of rows) {
    const cells = row.split(' | ');
    const named = [...(cells.at(-1) ?? '').matchAll(/`([\w./-]+)`/g)].map(([, path = '']) => path);
    assert.ok(named.length > 0, `no test: ${row}`);
    let folder = '';
    for (const path of named) {
      const full = path.startsWith('test/') ? path : join(folder, path);
      folder = full.replace(/\/[^/]*$/, '');
      const file = join(root, 'packages/kpatch', full);
      assert.ok(existsSync(file), `${path} does not exist: ${row}`);
      assert.ok(statSync(file).isDirectory() || full.endsWith('.test.ts'), path);
    }
  }
});
