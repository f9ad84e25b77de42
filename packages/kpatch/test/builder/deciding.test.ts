/** Which units are compiled before all others when a header changes a structure; the estimated time of a wide compile. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { CompileTime, describeWide, duration } from '#kpatch/builder/duration/compile-time.ts';
import { decidingUnits } from '#kpatch/builder/planning/deciding.ts';
import { includeGraph, includeSearch } from '#kpatch/kbuild/include-graph.ts';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import type { KernelFacts } from '#kpatch/prepare/facts.ts';
import { changedStructures } from '#kpatch/source/reach/header-change.ts';

const header = (member: string): string =>
  `struct pid {\n\tint count;${member}\n};\nstruct other { int a; };\nstatic inline int get(struct pid *p) { return p->count; }\n`;

/** The units that decide in a tree of ten drivers, two of which use the structure, and `more`. */
async function decide(
  after: string,
  more: Readonly<Record<string, string>> = {},
  edited: readonly string[] = [],
): Promise<readonly string[] | undefined> {
  using folder = temporaryFolder('kpatch-deciding-');
  const [tree, root, derived] = [join(folder.path, 'tree'), join(folder.path, 'root'), join(folder.path, 'derived')];
  const use = 'int f(struct pid *p) { return p->count; }\nint g(struct pid *p) { return 1; }\n';
  const drivers = Array.from({ length: 10 }, (_, index) => [`drivers/d${index}.c`, index > 7 ? use : 'int x;\n']);
  const files = { 'include/linux/pid.h': header(''), ...Object.fromEntries(drivers), ...more } as Record<
    string,
    string
  >;
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), file.endsWith('.c') ? `#include <linux/pid.h>\n${text}` : text);
  }
  mkdirSync(root);
  const overlay = new SourceOverlay(tree, root);
  for (const file of ['include/linux/pid.h', ...edited]) overlay.copy(file);
  writeFileSync(join(root, 'include/linux/pid.h'), after);
  const units = Object.keys(files).filter((file) => file.endsWith('.c'));
  const objects = units.map((unit) => unit.replace(/c$/, 'o'));
  const map: ObjectMap = new Map(
    objects.map((object) => [object, [{ object: 'vmlinux', directory: dirname(object) }]]),
  );
  const search = includeSearch({ SRCARCH: 'x86', LINUXINCLUDE: '-I./include' });
  const graph = await includeGraph(tree, search, objects, derived);
  const facts = { kernel: { paths: { tree } }, derived, objects: async () => map, includes: async () => graph };
  const found = await decidingUnits(facts as unknown as KernelFacts, overlay);
  return found?.units.map(({ object }) => object);
}

test('a changed structure is decided by the smallest units that use it', async () => {
  const grown = header('\n\tlong more;');
  assert.deepEqual(await decide(grown), ['drivers/d8.o', 'drivers/d9.o']);
  const small = 'struct pid *a;\nstruct pid *b;\n';
  assert.deepEqual(await decide(grown, { 'kernel/small.c': small }), ['kernel/small.o', 'drivers/d8.o']);
});

test('the sources that the patch changes decide too: they have changed functions', async () => {
  const large = { 'kernel/large.c': `struct pid *a;\n${'int x;\n'.repeat(50)}` };
  const found = await decide(header('\n\tlong more;'), large, ['kernel/large.c']);
  assert.deepEqual(found, ['kernel/large.o', 'drivers/d8.o', 'drivers/d9.o']);
});

test('a header that changes no structure, or that few units include, has no deciding units', async () => {
  assert.equal(await decide(header('').replace('return p->count', 'return p->count + 1')), undefined);
  assert.equal(await decide(`/* a comment */\n${header('')}`), undefined);
});

test('the structures that a header changes', () => {
  const change = (before: string, after: string): string[] => changedStructures({ file: 'x.h', before, after });
  assert.deepEqual(change(header(''), header('\n\tlong more;')), ['struct pid']);
  assert.deepEqual(change('union u { int a; };', 'union u { long a; };'), ['union u']);
  assert.deepEqual(change('typedef struct { int a; } word_t;', 'typedef struct { long a; } word_t;'), ['word_t']);
  assert.deepEqual(change('', 'struct fresh { int a; };'), ['struct fresh']);
  assert.deepEqual(changedStructures({ file: 'x.h', before: undefined, after: 'struct a { int b; };' }), []);
});

test('the time of a unit is the average of what was measured, later measurements count more', () => {
  using folder = temporaryFolder('kpatch-times-');
  const times = new CompileTime(folder.path);
  assert.equal(times.unitMs, undefined);
  times.record(10, 10_000, 2);
  assert.equal(times.unitMs, 2000);
  times.record(1, 500, 2); // one unit occupies one compiler
  assert.equal(times.unitMs, Math.round((2000 * 10 + 500) / 11));
  times.record(400, 400_000, 1);
  assert.equal(times.unitMs, 1000);
  writeFileSync(join(folder.path, 'compile-time.json'), 'damaged');
  assert.equal(times.unitMs, undefined);
});

test('a wide compile says how many compilations it needs and how long they take', () => {
  assert.match(
    describeWide(13_335, 26_669, 900, 2),
    /^13335 units .* 26669 compilations .*: about 3 h 20 min \(0\.9 s each, 2 at once/,
  );
  assert.match(describeWide(50, 100, undefined, 2), /nothing was measured/);
  assert.deepEqual([duration(49_600), duration(720_000), duration(12_000_000)], ['50 s', '12 min', '3 h 20 min']);
});
