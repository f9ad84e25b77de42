import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type Advisory, readDocument } from 'kpatch/advisories';
import { temporaryFolder } from 'kpatch/parts';
import { pairedChanges } from '#factory/fixes/source-pair.ts';
import { cveRecord } from '../../kpatch/test/advisory/records.ts';

const advisory = (id: string, ...files: string[]): Advisory => readDocument(cveRecord({ id, files }), 'f')[0]!;

function tree(folder: string, files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const padding = (mark: string): string => Array.from({ length: 8 }, (_, at) => `/* ${mark} ${at} */\n`).join('');
const body = (name: string, line: string): string => `int ${name}(int length)\n{\n\t${line}\n\treturn 0;\n}\n`;

test('changes are grouped by what depends on what, and a CVE is claimed only if nothing else is in its files', async () => {
  using folder = temporaryFolder('kpatch-pair-');
  const before = tree(join(folder.path, 'old'), {
    'include/x.h': 'struct thing {\n\tint a;\n};\n',
    'a.c': body('first', 'copy(length);') + padding('a') + body('second', 'copy(length);'),
    'b.c': body('third', 'copy(length);'),
    'c.c': body('fourth', 'copy(length);'),
    'd.c': body('fifth', 'copy(length);') + padding('d') + body('sixth', 'copy(length);'),
    'e.c': body('seventh', 'copy(length);'),
    README: 'x\n',
  });
  const after = tree(join(folder.path, 'new'), {
    'include/x.h': 'struct thing {\n\tint a;\n\tint limit_of_it;\n};\n',
    'a.c': body('first', 'if (length > thing->limit_of_it) return 1;') + padding('a') + body('second', 'copy(length);'),
    'b.c': body('third', 'check(thing->limit_of_it);'),
    'c.c': body('fourth', 'check_first(length);'),
    'd.c': body('fifth', 'check_one(length);') + padding('d') + body('sixth', 'check_two(length);'),
    'e.c': body('seventh', 'copy(length);'),
    README: 'y\n',
  });
  const { groups, claims, unattributed } = await pairedChanges(before, after, [
    advisory('CVE-2026-1001', 'a.c', 'b.c'),
    advisory('CVE-2026-1002', 'c.c'),
    advisory('CVE-2026-1003', 'd.c'),
    advisory('CVE-2026-1004', 'e.c'),
    advisory('CVE-2026-1005', 'README'),
  ]);
  assert.deepEqual(groups.map(({ files }) => files.join(' ')).sort(), ['a.c b.c include/x.h', 'c.c', 'd.c', 'd.c']);
  assert.deepEqual(
    claims.map(({ cve, group }) => [cve, groups[group]!.files.join(' ')]),
    [
      ['CVE-2026-1001', 'a.c b.c include/x.h'],
      ['CVE-2026-1002', 'c.c'],
    ],
  );
  assert.deepEqual(
    unattributed.map(({ cve, reason }) => [cve, reason.slice(0, 30)]),
    [
      ['CVE-2026-1003', '2 independent changes are in i'],
      ['CVE-2026-1004', 'e.c is the same in both source'],
      ['CVE-2026-1005', 'its record names no file of co'],
    ],
  );
  const shared = await pairedChanges(before, after, [
    advisory('CVE-2026-1002', 'c.c'),
    advisory('CVE-2026-1006', 'c.c'),
  ]);
  assert.deepEqual(shared.claims, []);
  assert.match(shared.unattributed[0]!.reason, /also changed for CVE-2026-1006/);
});
