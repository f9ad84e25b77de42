/** The list of the rules. What each does is in the tests beside this one. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { rulesAgainst } from '#kpatch/rewrite/patches.ts';
import { rules } from '#kpatch/rewrite/rewrite.ts';

test('every rule has a section in docs/rewrite.md, and the build knows which refusals rules help against', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/rewrite.md'), 'utf8');
  for (const { name } of rules) assert.match(page, new RegExp(`^### ${name}$`, 'm'));
  assert.deepEqual(rulesAgainst({ code: 'diff-layout-changed', detail: undefined }), [
    'stack-structure',
    'kept-member',
    'padding',
    'shared-lock',
    'shadow-member',
  ]);
  assert.deepEqual(rulesAgainst({ code: 'patch-empty', detail: 'no change' }), []);
  const several =
    '2 changes cannot be live patched:\nx changed [diff-init-changed], a.o\ny grows [diff-data-size], a.o';
  assert.deepEqual(rulesAgainst({ code: 'diff-init-changed', detail: several }), ['init-part', 'id-table']);
});
