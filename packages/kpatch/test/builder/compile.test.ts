/** Compiling in overlays, on trees that the test makes: a `scripts/Makefile.build` of a few lines is in for kbuild. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  batches,
  compilationKey,
  compileUnits,
  inParallel,
  ObjectStore,
  readDependencies,
} from '#kpatch/kbuild/compile.ts';
import { objectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import type { Unit } from '#kpatch/kbuild/unit.ts';
import { provokes } from '../provoke.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-compile-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Compiles with gcc and notes what was read, as kbuild does: paths as the compiler opened them. */
const kbuild = `
%.o: %.c FORCE
	gcc $(KBUILD_CFLAGS) -Iinclude -c -o $@ $< -MD -MF $(@D)/deps
	printf 'source_$@ := $<\\n\\ndeps_$@ := \\\\\\n' > $(@D)/.$(@F).cmd
	sed -e 's/^[^:]*://' -e 's/\\\\$$//' $(@D)/deps | tr -s ' ' '\\n' | sed -e '/^$$/d' -e 's/$$/ \\\\/' >> $(@D)/.$(@F).cmd
	echo >> $(@D)/.$(@F).cmd
FORCE:
`;

let count = 0;
function overlayOf(files: Readonly<Record<string, string>>, makefile = kbuild): SourceOverlay {
  const place = join(folder, String(count++));
  mkdirSync(join(place, 'overlay'), { recursive: true });
  for (const [file, text] of Object.entries({ ...files, 'scripts/Makefile.build': makefile })) {
    mkdirSync(join(place, 'tree', file, '..'), { recursive: true });
    writeFileSync(join(place, 'tree', file), text);
  }
  return new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
}

const unit = (object: string): Unit => ({
  object,
  owners: [{ object: 'vmlinux', directory: object.slice(0, object.lastIndexOf('/')) }],
  through: [],
});
const compilation = { variables: {}, jobs: 2, when: 'after', settings: [] } as const;

/** Two folders whose files include each other's headers by way of `..`. */
const crossing = {
  'fs/a.c': '#include "../lib/one.h"\nint a = ONE;\n',
  'lib/one.h': '#include "../fs/two.h"\n#define ONE TWO\n',
  'fs/two.h': '#define TWO 2\n',
  'fs/b.c': 'int b;\n',
};

describe('compiling in an overlay', () => {
  test('a changed header is seen by whatever way it is included; the tree stays as it is', async () => {
    const overlay = overlayOf(crossing);
    overlay.copy('fs/two.h');
    writeFileSync(join(overlay.root, 'fs/two.h'), '#define TWO 77\n');
    const [compiled] = await compileUnits(overlay, [unit('fs/a.o')], compilation);
    assert.ok(Buffer.from(compiled!.bytes).includes(Buffer.from([77, 0, 0, 0])), 'the changed value is in the object');
    assert.ok(compiled!.read.some((file) => file.endsWith('fs/two.h')));
    assert.deepEqual(readdirSync(join(overlay.tree, 'fs')).sort(), ['a.c', 'b.c', 'two.h']);
  });

  test('where the overlay is makes no difference, in debug information neither', async () => {
    const files = { 'fs/a.c': 'int a(int b) { return b; }\n' };
    const compiled = async (place: SourceOverlay): Promise<Uint8Array> => {
      const [one] = await compileUnits(place, [unit('fs/a.o')], { ...compilation, variables: { KBUILD_CFLAGS: '-g' } });
      return one!.bytes;
    };
    const bytes = await compiled(overlayOf(files));
    assert.ok(Buffer.from(bytes).includes('debug_info'));
    assert.deepEqual(await compiled(overlayOf(files)), bytes);
  });

  test('a source that is generated, from what is built in a folder below, leaves the tree as it is', async () => {
    const generate = `
fs/image.c: FORCE
	echo 'char image[4];' > fs/below/image.so && cp fs/below/image.so $@
`;
    const overlay = overlayOf({ 'fs/below/part.c': 'int part;\n', 'fs/b.c': 'int b;\n' }, kbuild + generate);
    const [compiled] = await compileUnits(overlay, [unit('fs/image.o')], compilation);
    assert.ok(Buffer.from(compiled!.bytes).includes('image'));
    assert.deepEqual(readdirSync(overlay.tree, { recursive: true }).sort(), [
      'fs',
      'fs/b.c',
      'fs/below',
      'fs/below/part.c',
      'scripts',
      'scripts/Makefile.build',
    ]);
  });

  test('many units at once, each done once', async () => {
    const files = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`d${i % 3}/f${i}.c`, `int f${i};\n`]));
    const units = Object.keys(files).map((file) => unit(file.replace('.c', '.o')));
    const done: string[] = [];
    const compiled = await compileUnits(overlayOf(files), units, {
      ...compilation,
      onDone: ({ unit, bytes }) => bytes.length > 0 && done.push(unit.object),
    });
    assert.deepEqual(
      compiled.map((one) => one.unit),
      units,
    );
    assert.deepEqual(done.sort(), units.map(({ object }) => object).sort());
  });

  test('a folder of objects that the tree does not have is made', () => {
    const overlay = overlayOf({ 'gpu/display/a.c': 'int a;\n', 'gpu/display/deep/b.h': '' });
    overlay.openBelow('gpu/xe/display');
    overlay.openBelow('gpu/display');
    writeFileSync(join(overlay.root, 'gpu/xe/display/a.o'), 'object');
    writeFileSync(join(overlay.root, 'gpu/display/deep/c.h'), 'new');
    assert.equal(existsSync(join(overlay.tree, 'gpu/xe')), false);
    assert.equal(existsSync(join(overlay.tree, 'gpu/display/deep/c.h')), false);
  });

  test('what was compiled before one that fails is told, so that it can be kept', async () => {
    const overlay = overlayOf({ 'fs/a.c': 'int a;\n', 'fs/bad.c': 'int b = nothing;\n' });
    const done: string[] = [];
    const units = [unit('fs/a.o'), unit('fs/bad.o')];
    const onDone = (one: { unit: Unit }): unknown => done.push(one.unit.object);
    await provokes('compile-failed', () => compileUnits(overlay, units, { ...compilation, jobs: 1, onDone }));
    assert.deepEqual(done, ['fs/a.o']);
  });

  test("compile-failed: the compiler's own words, for the unit that failed", async () => {
    const overlay = overlayOf({ 'fs/a.c': 'int a;\n', 'fs/bad.c': 'int b = nothing;\n' });
    const error = await provokes('compile-failed', () =>
      compileUnits(overlay, [unit('fs/a.o'), unit('fs/bad.o')], compilation),
    );
    assert.match(error.message, /^fs\/bad\.o does not compile after the patch/);
    assert.match(error.detail ?? '', /bad\.c:1:9: error/);
  });

  test("tree-changed: a unit that goes on reading the tree's own version", async () => {
    const stubborn = "%.o:\n\techo object > $@\n\tprintf 'deps_$@ := \\\\\\n  ../tree/fs/a.c\\n' > $(@D)/.$(@F).cmd\n";
    const overlay = overlayOf({ 'fs/a.c': 'int a;\n' }, stubborn);
    overlay.copy('fs/a.c');
    await provokes('tree-changed', () => compileUnits(overlay, [unit('fs/a.o')], compilation));
  });

  test('the note of dependencies: wildcards of options are no files', () => {
    const note =
      'source_fs/x.o := fs/x.c\n\ndeps_fs/x.o := \\\n    $(wildcard include/config/SMP) \\\n  ./include/a.h \\\n  fs/b.h \\\n\nfs/x.o: $(deps_fs/x.o)\n';
    assert.deepEqual(readDependencies(note), ['fs/x.c', 'include/a.h', 'fs/b.h']);
    assert.deepEqual(readDependencies(''), []);
  });
});

describe('kept objects', () => {
  const store = (identity: string): ObjectStore =>
    new ObjectStore(join(folder, 'store'), compilationKey(identity, compilation));
  const compiled = { unit: unit('fs/a.o'), bytes: Buffer.from('an object'), read: ['fs/a.c'] };

  test('are found again under the same identity only', () => {
    store('one').put(compiled);
    assert.deepEqual(store('one').get(compiled.unit)?.read, ['fs/a.c']);
    assert.equal(Buffer.from(store('one').get(compiled.unit)!.bytes).toString(), 'an object');
    assert.equal(store('two').get(compiled.unit), undefined);
    assert.equal(store('one').get(unit('fs/b.o')), undefined);
  });

  test('that were damaged are not there', () => {
    const [name] = readdirSync(join(folder, 'store'));
    const path = join(folder, 'store', name!);
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 0x20;
      writeFileSync(path, damaged);
      const found = store('one').get(compiled.unit);
      assert.ok(found === undefined || Buffer.from(found.bytes).toString() === 'an object', `byte ${at}`);
    }
    writeFileSync(path, '');
    assert.equal(store('one').get(compiled.unit), undefined);
  });
});

test('generated units of a directory are made by one process, because they share intermediate files', () => {
  const unit = (object: string): Unit => {
    return { object, owners: [{ object: 'vmlinux', directory: object.slice(0, object.indexOf('/')) }], through: [] };
  };
  const units = ['vdso/image-64.o', 'vdso/vma.o', 'vdso/image-x32.o', 'lib/table.o'].map(unit);
  const made = batches(units, ({ object }) => /image|table/.test(object));
  assert.deepEqual(
    made.map((batch) => batch.map(({ object }) => object)),
    [['vdso/image-64.o', 'vdso/image-x32.o'], ['vdso/vma.o'], ['lib/table.o']],
  );
});

test('work in parallel is limited, and the first error ends it', async () => {
  let running = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  await inParallel([1, 2, 3, 4, 5, 6, 7], 3, work);
  assert.equal(most, 3);
  const begun: number[] = [];
  const failing = inParallel([1, 2, 3, 4], 1, async (item) => {
    begun.push(item);
    if (item === 2) throw new Error('second');
  });
  await assert.rejects(failing, /second/);
  assert.deepEqual(begun, [1, 2]);
});

test('makefiles-unreadable: a tree whose Makefiles cannot be read', async () => {
  const tree = join(folder, 'no-tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'Makefile'), '');
  symlinkSync('nowhere', join(tree, 'include'));
  await provokes('makefiles-unreadable', () => objectMap(tree, { KPATCH_ROOTS: 'fs/' }, join(folder, 'derived')));
  assert.ok(!existsSync(join(folder, 'derived/object-map.json')));
});
