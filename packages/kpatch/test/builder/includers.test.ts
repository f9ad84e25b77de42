/** What a changed file that is not an unit reaches, where the patch itself changes which file includes which. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { includersOf } from '#kpatch/builder/planning/includers.ts';
import { planBuild } from '#kpatch/builder/planning/plan.ts';
import { includeGraph, includeSearch } from '#kpatch/kbuild/include-graph.ts';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import type { KernelFacts } from '#kpatch/prepare/facts.ts';
import { parseSourcePatch } from '#kpatch/source/patch.ts';
import { provokes } from '../provoke.ts';

type Files = Readonly<Record<string, string>>;

/** The plan for a tree whose files a patch changes to `after`; `units` are built into vmlinux. */
async function plan(before: Files, after: Files, units: readonly string[]): Promise<Record<string, readonly string[]>> {
  using folder = temporaryFolder('kpatch-includers-');
  const [tree, root, derived] = ['tree', 'overlay', 'derived'].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  const write = (at: string, files: Files): void => {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(at, file)), { recursive: true });
      writeFileSync(join(at, file), text);
    }
  };
  write(tree, before);
  mkdirSync(root);
  const overlay = new SourceOverlay(tree, root);
  for (const file of Object.keys(after)) {
    overlay.copy(file);
    rmSync(join(root, file), { force: true });
  }
  write(root, after);
  const objects = units.map((unit) => unit.replace(/c$/, 'o'));
  const map: ObjectMap = new Map(
    objects.map((object) => [object, [{ object: 'vmlinux', directory: dirname(object) }]]),
  );
  const search = includeSearch({ SRCARCH: 'x86', LINUXINCLUDE: '-I./include' });
  const graph = await includeGraph(tree, search, objects, derived);
  const facts = { kernel: { paths: { tree } }, derived, objects: async () => map, includes: async () => graph };
  const text = Object.keys(after).map((file) => `--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-a\n+b\n`);
  const patch = parseSourcePatch('x.patch', Buffer.from(text.join('')));
  const includers = includersOf(facts as unknown as KernelFacts, overlay, silentReporter());
  const planned = await planBuild([patch], map, new Map(), includers, '6.1');
  const leftOut = planned.leftOut.map(({ file }) => file);
  return {
    ...Object.fromEntries(planned.units.map(({ object, through }) => [object, through])),
    ...(leftOut.length === 0 ? {} : { leftOut }),
  };
}

test('a new header that only a file of the same patch includes, directly or through another new header', async () => {
  const planned = await plan(
    { 'fs/a.c': 'int a;\n', 'fs/b.c': 'int b;\n' },
    { 'fs/new.h': '#include "deep.h"\n', 'fs/deep.h': '#define A 1\n', 'fs/a.c': '#include "new.h"\nint a = A;\n' },
    ['fs/a.c', 'fs/b.c'],
  );
  assert.deepEqual(planned, { 'fs/a.o': ['fs/new.h', 'fs/deep.h', 'fs/a.c'] });
});

test('a header of the tree that the patch changes and includes in one more place', async () => {
  const planned = await plan(
    { 'fs/a.c': 'int a;\n', 'fs/b.c': '#include "x.h"\nint b = X;\n', 'fs/x.h': '#define X 1\n' },
    { 'fs/x.h': '#define X 2\n', 'fs/a.c': '#include "x.h"\nint a = X;\n' },
    ['fs/a.c', 'fs/b.c'],
  );
  assert.deepEqual(planned, { 'fs/a.o': ['fs/x.h', 'fs/a.c'], 'fs/b.o': ['fs/x.h'] });
});

test('a new header that nothing includes is left out', async () => {
  const planned = await plan({ 'fs/a.c': 'int a;\n' }, { 'fs/new.h': '#define A 1\n', 'fs/a.c': 'int a = 1;\n' }, [
    'fs/a.c',
  ]);
  assert.deepEqual(planned, { 'fs/a.o': ['fs/a.c'], leftOut: ['fs/new.h'] });
});

test('source-kind-unsupported: a header that a generator reads; not one that it takes from the machine that builds', async () => {
  const files = {
    'security/selinux/include/classmap.h': '#define A 1\n',
    'include/linux/string.h': '#define B 1\n',
    'scripts/selinux/genheaders/genheaders.c': '#include <linux/string.h>\n#include "classmap.h"\nint main(void);\n',
    'security/selinux/avc.c': '#include <linux/string.h>\n#include "classmap.h"\n',
  };
  const units = ['security/selinux/avc.c'];
  const error = await provokes('source-kind-unsupported', () =>
    plan(files, { 'security/selinux/include/classmap.h': '#define A 2\n' }, units),
  );
  assert.match(error.why, /genheaders\.c reads it/);
  assert.deepEqual(await plan(files, { 'include/linux/string.h': '#define B 2\n' }, units), {
    'security/selinux/avc.o': ['include/linux/string.h'],
  });
});
