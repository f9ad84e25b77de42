import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type Advisory, readDocument } from 'kpatch/advisories';
import { temporaryFolder } from 'kpatch/parts';
import { inOrder } from '#factory/fixes/needs.ts';
import { groupChanges, pairedChanges, patchOf } from '#factory/fixes/source-pair.ts';
import { readReport } from '#factory/report/outcomes.ts';
import { cveRecord } from '../../kpatch/test/advisory/records.ts';
import { lines } from './repository.ts';
import { RELEASE, World } from './world.ts';

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
  const names = (of: readonly { files: readonly string[] }[]): string[] =>
    of.map(({ files }) => files.join(' ')).sort();
  assert.deepEqual(names(groups), ['a.c', 'b.c', 'c.c', 'd.c', 'd.c', 'include/x.h']);
  for (const user of ['a.c', 'b.c']) {
    const { needs } = groups.find(({ files }) => files.includes(user))!;
    assert.deepEqual(names(needs.map((id) => groups[id]!)), ['include/x.h'], user);
  }
  assert.deepEqual(
    claims.map((claim) => [claim.cve, ...names(claim.groups.map((id) => groups[id]!))]),
    [
      ['CVE-2026-1001', 'a.c', 'b.c'],
      ['CVE-2026-1002', 'c.c'],
    ],
  );
  // Each group applies after those that it needs, and all of them make the newer source.
  for (const group of groups) {
    assert.ok(group.needs.every((id) => id < group.id));
    execFileSync('patch', ['-s', '-p1', '-d', before], { input: patchOf(group, 'Subject: x') });
  }
  for (const file of ['a.c', 'b.c', 'c.c', 'd.c', 'e.c', 'include/x.h'])
    assert.equal(readFileSync(join(before, file), 'utf8'), readFileSync(join(after, file), 'utf8'), file);
  assert.deepEqual(
    unattributed.map(({ cve, reason }) => [cve, reason.slice(0, 30)]),
    [
      ['CVE-2026-1003', '2 independent changes are in d'],
      ['CVE-2026-1004', 'e.c is the same in both source'],
      ['CVE-2026-1005', 'its record names no file of co'],
    ],
  );
  const again = tree(join(folder.path, 'again'), { 'c.c': body('fourth', 'copy(length);') });
  const shared = await pairedChanges(again, after, [
    advisory('CVE-2026-1002', 'c.c'),
    advisory('CVE-2026-1006', 'c.c'),
  ]);
  assert.deepEqual(shared.claims, []);
  assert.match(shared.unattributed[0]!.reason, /also changed for CVE-2026-1006/);
});

test('changes that need each other are one group; others come after what they need', () => {
  const needs = [[1], [2], [0], [1], [], [4, 3]].map((some) => new Set(some));
  const sets = inOrder(needs);
  assert.deepEqual(
    sets.find((one) => one.includes(0)),
    [0, 1, 2],
  );
  const place = (node: number): number => sets.findIndex((one) => one.includes(node));
  for (const [node, some] of needs.entries()) for (const other of some) assert.ok(place(other) <= place(node));
  assert.equal(sets.flat().length, needs.length);
  const chain = Array.from({ length: 50_000 }, (_, at) => new Set(at === 0 ? [] : [at - 1]));
  assert.equal(inOrder(chain).length, chain.length);
});

test('a changed signature belongs to the changes of its calls; a name that goes away needs its last users to go', () => {
  const diff = [
    '--- a/one.c\n+++ b/one.c\n@@ -1,2 +1,2 @@\n-int check_it(int a)\n+int check_it(int a, int b)\n {\n',
    '--- a/two.c\n+++ b/two.c\n@@ -9,1 +9,1 @@\n-\tcheck_it(1);\n+\tcheck_it(1, 2);\n',
    '--- a/three.c\n+++ b/three.c\n@@ -1,3 +0,0 @@\n-void old_way(void)\n-{\n-}\n',
    '--- a/four.c\n+++ b/four.c\n@@ -5,2 +5,1 @@\n x\n-\told_way();\n',
    // A removed line that looks like the head of a file.
    '--- a/five.c\n+++ b/five.c\n@@ -1,2 +1,1 @@\n y\n--- a/not.c\n',
  ].join('');
  const groups = groupChanges(Buffer.from(diff), (path) => (path === 'two.c' ? 'check_it(1);' : ''));
  assert.deepEqual(groups.map(({ files }) => files.join(' ')).sort(), ['five.c', 'four.c', 'one.c two.c', 'three.c']);
  const gone = groups.find(({ files }) => files.includes('three.c'))!;
  assert.deepEqual(
    gone.needs.map((id) => groups[id]!.files),
    [['four.c']],
  );
  assert.match(patchOf(gone, 'x').toString(), /^\+\+\+ \/dev\/null$/m);
});

test('the factory takes its series from a newer source: what a CVE is attributed to, or all that is compiled', async () => {
  for (const [changes, patches] of [
    ['claimed', 1],
    ['all', 2],
  ] as const) {
    using folder = temporaryFolder('kpatch-pair-');
    const newer = '6.1.0-57-amd64';
    const world = new World(folder.path, { repository: undefined, kernels: [{ release: RELEASE, newer, changes }] });
    world.newer = { release: newer, version: '6.1.192-3', tree: join(folder.path, 'newer') };
    tree(world.newer.tree, {
      'net/a.c': lines(60, { 5: 'checked' }),
      'net/b.c': lines(60, { 9: 'another change' }),
      'drivers/none.c': lines(60, { 9: 'not compiled' }),
    });
    world.record({ id: 'CVE-2026-1001', files: ['net/a.c'] });
    world.record({ id: 'CVE-2026-1002', files: ['net/gone.c'] });
    const factory = await world.run();
    const built = await factory.state.read('build', RELEASE);
    assert.equal(built?.patches.length, patches);
    assert.deepEqual(world.published, [{ cves: ['CVE-2026-1001'], withdrawn: [] }]);
    const [report] = await readReport(factory.config, factory.state);
    assert.match(report!.cves.find(({ cve }) => cve === 'CVE-2026-1002')!.reason, /net\/gone\.c is the same in both/);
    await world.close();
  }
});
