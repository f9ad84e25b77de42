/** Which patched objects of an earlier build still hold. A `scripts/Makefile.build` of a few lines is in for kbuild. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { EditedObjects } from '#kpatch/kbuild/edited-objects.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import type { Unit } from '#kpatch/kbuild/unit.ts';

/** Joins the files that the source names into the object, and notes what was read. */
const kbuild = `
fs/a.o: FORCE
	cat fs/a.c $$(cat fs/a.c | sed -n 's/^include //p') > $@
	{ echo "source_$@ := fs/a.c"; echo; echo "deps_$@ := \\\\"; sed -n 's/^include \\(.*\\)/  \\1 \\\\/p' fs/a.c; echo; } > fs/.a.o.cmd
FORCE:
`;
const tree = {
  'scripts/Makefile.build': kbuild,
  'fs/a.c': 'include fs/a.h\n',
  'fs/a.h': 'a\n',
  'fs/b.c': 'b\n',
  'fs/Makefile': 'obj-y := a.o b.o\n',
  'include/c.h': 'c\n',
};
const unit: Unit = { object: 'fs/a.o', owners: [{ object: 'vmlinux', directory: 'fs' }], through: [] };
const graph = { includedBy: () => new Set(['fs/a.c', 'fs/a.h']) };
const compilation = { variables: {}, jobs: 1, when: 'after', settings: [] } as const;

using folder = temporaryFolder('kpatch-edited-');
let count = 0;

type Changes = Readonly<Record<string, string | null>>;

/** The cache, for an overlay of the tree with these files changed; `null` copies one without changing it. */
function cacheFor(changes: Changes, cache = 'cache', key = 'kernel'): EditedObjects {
  const place = join(folder.path, String(count++));
  for (const [file, text] of Object.entries(tree)) {
    mkdirSync(join(place, 'tree', dirname(file)), { recursive: true });
    writeFileSync(join(place, 'tree', file), text);
  }
  mkdirSync(join(place, 'overlay'));
  const overlay = new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
  for (const [file, text] of Object.entries(changes)) {
    overlay.copy(file);
    if (text !== null) writeFileSync(join(overlay.root, file), text);
  }
  return new EditedObjects(join(folder.path, cache), key, overlay, graph);
}

const compile = async (changes: Changes, cache?: string): Promise<string | undefined> =>
  text(await cacheFor(changes, cache).compile(unit, compilation));
const kept = (changes: Changes, cache?: string, key?: string): string | undefined =>
  text(cacheFor(changes, cache, key).get(unit));
const text = (found: { bytes: Uint8Array } | undefined): string | undefined =>
  found === undefined ? undefined : Buffer.from(found.bytes).toString();

describe('patched objects of earlier builds', () => {
  const edit = { 'fs/a.c': 'include fs/a.h\nedited\n' };
  const object = 'include fs/a.h\nedited\na\n';

  test('the same edit is found again, also beside edits that the unit cannot read', async () => {
    assert.equal(kept(edit), undefined);
    assert.equal(await compile(edit), object);
    assert.equal(kept(edit), object);
    assert.deepEqual(cacheFor(edit).get(unit)?.read, ['fs/a.c', 'fs/a.h']);
    assert.equal(kept({ ...edit, 'fs/b.c': 'other\n' }), object);
    assert.equal(kept({ ...edit, 'include/c.h': 'other\n' }), object);
  });

  test('another edit is not: of the source, of a header that it includes, or without the edit', () => {
    assert.equal(kept({ 'fs/a.c': 'edited\n' }), undefined);
    assert.equal(kept({ ...edit, 'fs/a.h': 'new\n' }), undefined);
    assert.equal(kept({}), undefined);
  });

  test('nor with a new header or another Makefile; nor of another kernel, compiler or unit', () => {
    assert.equal(kept({ ...edit, 'include/a.h': 'new\n' }), undefined);
    assert.equal(kept({ ...edit, 'fs/Makefile': 'ccflags-y := -O0\n' }), undefined);
    assert.equal(kept(edit, 'cache', 'another kernel'), undefined);
    assert.equal(cacheFor(edit).get({ ...unit, object: 'fs/b.o' }), undefined);
  });

  test('several edits of one unit are kept side by side', async () => {
    assert.equal(await compile({ 'fs/a.h': 'two\n' }), 'include fs/a.h\ntwo\n');
    assert.equal(kept({ 'fs/a.h': 'two\n' }), 'include fs/a.h\ntwo\n');
    assert.equal(kept(edit), object);
  });

  test('a unit is compiled without the edits that are not in its key; if it reads one, it is not kept', async () => {
    const more = { 'fs/a.c': 'include fs/b.c\n', 'fs/b.c': 'edited b\n' };
    assert.equal(await compile(more, 'more'), undefined);
    assert.deepEqual(readdirSync(join(folder.path, 'more')), []);
    assert.equal(await compile({ ...more, 'fs/b.c': null }, 'more'), undefined);
    assert.equal(await compile({ 'fs/a.c': 'include fs/b.c\n' }, 'more'), 'include fs/b.c\nb\n');
  });

  test('a damaged entry is compiled again', async () => {
    await compile(edit, 'damaged');
    const [name = ''] = readdirSync(join(folder.path, 'damaged'));
    const path = join(folder.path, 'damaged', name);
    const whole = readFileSync(path, 'utf8');
    for (const broken of [whole.replace('edited\n', 'EDITED\n'), whole.slice(0, 20), '']) {
      writeFileSync(path, broken);
      assert.equal(kept(edit, 'damaged'), undefined);
    }
  });

  test('the entries that were not used for the longest time go first', async () => {
    const names = (): string[] => readdirSync(join(folder.path, 'limited'));
    const made: string[] = [];
    for (const age of [30, 20, 10]) {
      await compile({ 'fs/a.h': `a${age}\n` }, 'limited');
      const name = names().find((file) => !made.includes(file))!;
      made.push(name);
      const time = Date.now() / 1000 - age;
      utimesSync(join(folder.path, 'limited', name), time, time);
    }
    cacheFor({}, 'limited').prune(1);
    assert.equal(names().length, 3, 'who stores nothing removes nothing');
    const last = cacheFor({ 'fs/a.h': 'last\n' }, 'limited');
    await last.compile(unit, compilation);
    last.prune(450);
    assert.ok(!names().includes(made[0]!));
    assert.notEqual(kept({ 'fs/a.h': 'last\n' }, 'limited'), undefined);
  });
});
