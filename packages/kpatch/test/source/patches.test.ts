/** Source patches: read, put in order, applied to an overlay of a small tree that the test makes; and what they say of kernels. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { filesLeftOut } from '#kpatch/builder/out-of-tree.ts';
import { planBuild, sortFiles, withoutFiles } from '#kpatch/builder/planning/plan.ts';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { checkName, nameFor } from '#kpatch/module/name.ts';
import { type Adjustment, applyPatch } from '#kpatch/source/apply.ts';
import { cvesOf } from '#kpatch/source/cves.ts';
import { parseSourcePatch, placeInTree, readPatch, type SourcePatch } from '#kpatch/source/patch.ts';
import { readSeries } from '#kpatch/source/series.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-patches-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const parse = (text: string, name = 'fix.patch'): SourcePatch => parseSourcePatch(name, Buffer.from(text));
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join('');
/** A patch of one line of `fs/a.c`, whose lines are `line 1` to `line 30`. */
const change = (at: number, to: string, file = 'fs/a.c', context = `line ${at - 1}`): string =>
  `--- a/${file}\n+++ b/${file}\n@@ -${at - 1},3 +${at - 1},3 @@\n ${context}\n-line ${at}\n+${to}\n line ${at + 1}\n`;

describe('reading a patch', () => {
  test('what git and diff write: mails with signatures, new files, removed files, renames, with and without a/ and b/', () => {
    const mail = `From 1234 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] fix\n\nCVE-2024-1234\n---\n fs/a.c | 2 +-\n\n${change(5, 'new')}-- \n2.39.5\n`;
    assert.deepEqual(
      parse(mail).files.map(({ path, kind }) => [path, kind]),
      [['fs/a.c', 'modify']],
    );
    assert.deepEqual(cvesOf(['CVE-2023-0001'], [parse(mail)]), ['CVE-2023-0001', 'CVE-2024-1234']);
    const made = parse('--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1,1 @@\n+int a;\n');
    assert.deepEqual(
      made.files.map(({ path, kind }) => [path, kind]),
      [['fs/new.c', 'create']],
    );
    const gone = parse('--- a/fs/old.c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-int a;\n');
    assert.deepEqual(
      gone.files.map(({ path, kind }) => [path, kind]),
      [['fs/old.c', 'delete']],
    );
    const plain = parse(
      '--- a/fs/new.c\t1970-01-01 00:00:00.000000000 +0000\n+++ b/fs/new.c\t2026-01-01 10:00:00.000000000 +0000\n@@ -0,0 +1,1 @@\n+int a;\n' +
        '--- a/fs/old.c\t2026-01-01 10:00:00.000000000 +0000\n+++ b/fs/old.c\t1970-01-01 01:00:00.000000000 +0100\n@@ -1,1 +0,0 @@\n-int a;\n' +
        '--- a/fs/emptied.c\t2026-01-01 10:00:00.000000000 +0000\n+++ b/fs/emptied.c\t2026-01-01 10:00:00.000000000 +0000\n@@ -1,1 +0,0 @@\n-int a;\n',
    );
    assert.deepEqual(
      plain.files.map(({ path, kind }) => [path, kind]),
      [
        ['fs/new.c', 'create'],
        ['fs/old.c', 'delete'],
        ['fs/emptied.c', 'modify'],
      ],
    );
    const bare = parse(change(5, 'new').replace('a/fs', 'fs').replace('b/fs', 'fs'));
    assert.equal(bare.strip, 0);
    assert.equal(bare.files[0]?.path, 'fs/a.c');
    const named = parse(change(5, 'new').replace('a/fs', 'linux-6.1.orig/fs').replace('b/fs', 'linux-6.1/fs'));
    assert.equal(named.files[0]?.path, 'fs/a.c');
  });

  test('patch-empty, patch-not-a-patch, patch-malformed, patch-name-too-long, patch-binary, patch-escapes', async () => {
    await provokes('patch-empty', () => parse(' \n\n'));
    await provokes('patch-not-a-patch', () => parse('just words\n'));
    await provokes('patch-not-a-patch', () => parse(`${change(5, 'new')}\0`));
    await provokes('patch-malformed', () => parse(change(5, 'new').replace('+new\n', '')));
    await provokes('patch-name-too-long', () => parse(change(5, `int ${'a'.repeat(512)};`)));
    await provokes('patch-name-too-long', () => parse(change(5, 'a'.repeat(1_000_000))));
    assert.equal(
      parse(change(5, `int ${'a'.repeat(511)}; /* ${'-'.repeat(9000)} ${'0'.repeat(600)} */`)).files.length,
      1,
    );
    await provokes('patch-binary', () => parse('Binary files a/x.bin and b/x.bin differ\n'));
    await provokes('patch-binary', () => parse('diff --git a/x.bin b/x.bin\nGIT binary patch\nliteral 1\n'));
    const place = (text: string): unknown => placeInTree([parse(text)], folder);
    await provokes('patch-escapes', () => place(change(5, 'new', '../../etc/passwd')));
    await provokes('patch-escapes', () => place(change(5, 'new', 'fs/../../x.c')));
    await provokes('file-unreadable', () => readPatch(join(folder, 'none.patch')));
  });

  test('any damage of a patch is an error of the catalogue, never a crash', () => {
    const text = change(5, 'new') + change(9, 'newer', 'fs/b.c');
    for (let at = 0; at < text.length; at++) {
      for (const damaged of [text.slice(0, at), `${text.slice(0, at)}@${text.slice(at + 1)}`, text.slice(at)]) {
        try {
          parse(damaged);
        } catch (error) {
          assert.match(String((error as { code?: string }).code), /^patch-/, `${at}: ${error}`);
        }
      }
    }
  });
});

describe('a series', () => {
  test('files as given; a folder by its series file, or by names; comments and options of quilt', () => {
    const place = join(folder, 'series-folder');
    mkdirSync(join(place, 'sub'), { recursive: true });
    for (const name of ['b.patch', 'a.diff', 'sub/c.patch']) writeFileSync(join(place, name), change(5, name));
    writeFileSync(join(place, 'notes.txt'), 'no patch');
    const names = (given: readonly string[]): string[] => readSeries(given).map(({ name }) => name);
    assert.deepEqual(names([place]), ['a.diff', 'b.patch']);
    assert.deepEqual(names([join(place, 'b.patch'), join(place, 'a.diff')]), ['b.patch', 'a.diff']);
    writeFileSync(join(place, 'series'), '# the order\nsub/c.patch -p1\n\nb.patch # last\n');
    assert.deepEqual(names([place]), ['c.patch', 'b.patch']);
    assert.deepEqual(names([join(place, 'series')]), ['c.patch', 'b.patch']);
  });

  test('series-empty: a folder without patches, a series without lines', async () => {
    const place = join(folder, 'empty');
    mkdirSync(place);
    await provokes('series-empty', () => readSeries([place]));
    writeFileSync(join(place, 'series'), '# nothing yet\n');
    await provokes('series-empty', () => readSeries([place]));
  });
});

describe('applying', () => {
  let count = 0;
  /** A fresh tree with `fs/a.c` and an overlay of it. */
  function overlay(): SourceOverlay {
    const place = join(folder, `apply-${count++}`);
    mkdirSync(join(place, 'tree/fs'), { recursive: true });
    mkdirSync(join(place, 'overlay'));
    writeFileSync(join(place, 'tree/fs/a.c'), lines(1, 30));
    return new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
  }
  const apply = (text: string, on = overlay(), earlier: SourcePatch[] = []): Promise<Adjustment[]> => {
    const patch = placeInTree([parse(text)], on.tree)[0]!;
    return applyPatch(on, patch, '6.1.0-9-amd64', [...earlier, patch]);
  };

  test('the overlay changes and the tree does not', async () => {
    const on = overlay();
    assert.deepEqual(await apply(change(5, 'new'), on), []);
    assert.match(readFileSync(join(on.root, 'fs/a.c'), 'utf8'), /^new$/m);
    assert.equal(readFileSync(join(on.tree, 'fs/a.c'), 'utf8'), lines(1, 30));
    await apply('--- /dev/null\n+++ b/fs/deep/new.c\n@@ -0,0 +1,1 @@\n+int a;\n', on);
    assert.equal(readFileSync(join(on.root, 'fs/deep/new.c'), 'utf8'), 'int a;\n');
    assert.ok(!existsSync(join(on.tree, 'fs/deep')));
  });

  test('a hunk that moved is taken silently, one that fits only roughly is told with the lines', async () => {
    const moved = change(5, 'new').replace('@@ -4,3 +4,3 @@', '@@ -7,3 +7,3 @@');
    assert.deepEqual(await apply(moved), []);
    const rough = `--- a/fs/a.c\n+++ b/fs/a.c\n@@ -3,5 +3,5 @@\n other\n line 4\n-line 5\n+new\n line 6\n line 7\n`;
    const [adjustment] = await apply(rough);
    assert.equal(adjustment?.fuzz, 1);
    assert.match(adjustment?.lines ?? '', /5 {2}new/);
  });

  test('patch-does-not-apply: what it expects and what is there, and which earlier patch touched the file', async () => {
    const on = overlay();
    const first = parse(change(5, 'taken'), 'first.patch');
    await applyPatch(on, first, '6.1.0-9-amd64');
    const error = await provokes('patch-does-not-apply', () => apply(change(5, 'differently'), on, [first]));
    assert.match(
      error.detail ?? '',
      /the patch expects:[\s\S]*5 {2}line 5[\s\S]*the file has:[\s\S]*5 {2}taken[\s\S]*first\.patch/,
    );
  });

  test('patch-already-applied, series-patch-applied, patch-file-missing, patch-file-exists', async () => {
    const on = overlay();
    await apply(change(5, 'new'), on);
    const again = await provokes('patch-already-applied', () => apply(change(5, 'new'), on));
    assert.equal(again.exit, 3);
    const twice = await provokes('series-patch-applied', () =>
      apply(change(5, 'new'), on, [parse(change(5, 'new'), 'one.patch')]),
    );
    assert.equal(twice.exit, 1);
    assert.match(twice.detail ?? '', /changed before it by: one\.patch/);
    await provokes('patch-file-missing', () => apply(change(5, 'new', 'fs/none.c')));
    await provokes('patch-file-exists', () => apply('--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1,1 @@\n+int a;\n'));
    await provokes('patch-already-applied', () => {
      const text = lines(1, 30).replace(/^/gm, '+').slice(0, -1);
      return apply(`--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1,30 @@\n${text}`);
    });
  });
});

describe('planning', () => {
  const map: ObjectMap = new Map([
    ['fs/a.o', [{ object: 'vmlinux', directory: 'fs' }]],
    ['drivers/b.o', [{ object: 'b', directory: 'drivers', path: 'drivers/b' }]],
    ['arch/x86/entry.o', [{ object: 'vmlinux', directory: 'arch/x86' }]],
  ]);
  const plan = (...files: readonly string[]): ReturnType<typeof planBuild> =>
    planBuild(
      files.map((file) => parse(change(5, 'new', file))),
      map,
      new Map(),
      (file) => (file === 'include/a.h' ? ['fs/a.c', 'fs/z.c'] : []),
      '6.1.0-9-amd64',
      { missing: (file) => (file.startsWith('fs/z') ? 'Z' : undefined), users: () => [] },
    );

  test('units with their objects, through what they are reached; the rest with a reason', async () => {
    const { units, leftOut } = await plan(
      'fs/a.c',
      'include/a.h',
      'drivers/b.c',
      'Documentation/x.rst',
      'fs/Kconfig',
      'fs/z.c',
    );
    assert.deepEqual(
      units.map(({ object, through }) => [object, through]),
      [
        ['drivers/b.o', ['drivers/b.c']],
        ['fs/a.o', ['fs/a.c', 'include/a.h']],
      ],
    );
    assert.deepEqual(leftOut.map(({ file }) => file).sort(), ['Documentation/x.rst', 'fs/Kconfig', 'fs/z.c']);
  });

  attack(
    {
      area: 'patch',
      attacker: 'patch author',
      how: 'a change of scripts/Makefile.lib, which the report calls left out, takes part in the build',
    },
    async () => {
      const place = join(folder, 'left-out');
      mkdirSync(join(place, 'tree/scripts'), { recursive: true });
      mkdirSync(join(place, 'tree/fs'));
      mkdirSync(join(place, 'overlay'));
      for (const file of ['scripts/Makefile.lib', 'fs/a.c', 'fs/z.c'])
        writeFileSync(join(place, 'tree', file), lines(1, 30));
      const on = new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
      const files = ['scripts/Makefile.lib', 'fs/a.c', 'fs/z.c'];
      const patches = placeInTree([parse(files.map((file) => change(5, 'new', file)).join(''))], on.tree);
      const [applied] = withoutFiles(patches, sortFiles(patches, map).leftOut);
      await applyPatch(on, applied!, 'x');
      on.restore('fs/z.c'); // no unit includes it, which is only known after the patch is applied
      const changed = files.filter((file) => readFileSync(join(on.root, file), 'utf8') !== lines(1, 30));
      assert.deepEqual(changed, ['fs/a.c']);
      return 'files that are left out are never applied';
    },
  );

  test('what takes part in a build is not a document: scripts and tools by a list of those that do not', async () => {
    const built = ['scripts/module-common.c', 'scripts/genksyms/genksyms.c', 'scripts/gendwarfksyms/dwarf.c'];
    const generators = [
      'scripts/bin2c.c',
      'scripts/xen-hypercalls.sh',
      'scripts/ipe/polgen/polgen.c',
      'scripts/a-new-one.sh',
    ];
    const tools = ['tools/scripts/Makefile.include', 'tools/bpf/resolve_btfids/main.c', 'scripts/extract-cert.c'];
    for (const file of [...built, ...generators, ...tools])
      assert.equal((await provokes('nothing-patchable', () => plan(file))).exit, 4, file);
    const scripts = [
      'checkpatch.pl',
      'coccinelle/a.cocci',
      'package/mkdebian',
      'livepatch/klp-build',
      'dtc/README',
      '.gitignore',
    ];
    for (const file of [
      ...scripts.map((name) => `scripts/${name}`),
      'tools/perf/perf.c',
      'samples/kobject/kset-example.c',
    ])
      assert.equal((await provokes('not-built', () => plan(file))).reason, 'documents-only', file);
  });

  test('in a module with a source of its own, a script or tool can generate code: only documents prove nothing', () => {
    const files = [
      'scripts/gen.sh',
      'tools/table.py',
      'samples/a.txt',
      '.config',
      'Documentation/a.rst',
      'README.md',
      '.gitignore',
    ];
    const proven = filesLeftOut([parse(files.map((file) => change(5, 'new', file)).join(''))])
      .filter(({ proof }) => proof === 'documents-only')
      .map(({ file }) => file);
    assert.deepEqual(proven, ['Documentation/a.rst', 'README.md', '.gitignore']);
  });

  test('objects of samples/ and of another architecture that this kernel is built with are units', async () => {
    const owners = [{ object: 'vmlinux', directory: 'x' }];
    const names = ['arch/arm64/xen.o', 'arch/arm/xen/hypercall.o', 'samples/kobject/kset-example.o'];
    const arm = new Map(names.map((name) => [name, owners]));
    const planned = (file: string): ReturnType<typeof planBuild> =>
      planBuild([parse(change(5, 'new', file))], arm, new Map(), () => [], 'x');
    for (const name of names) assert.deepEqual((await planned(name.replace(/o$/, 'c'))).units[0]?.object, name);
    await provokes('nothing-patchable', () => planned('samples/kobject/other.h'));
    await provokes('nothing-patchable', () => planned('arch/arm/include/asm/more.h'));
    await provokes('not-built', () => planned('arch/x86/entry.c'));
    await provokes('not-built', () => planned('arch/arm64/um/entry.c'));
  });

  test('not-built: every file is shown not to be in this kernel, and the document says how', async () => {
    const error = await provokes('not-built', () => plan('fs/z.c', 'Documentation/x.rst', 'arch/arm/entry.S'));
    assert.equal(error.exit, 3);
    assert.match(error.detail ?? '', /fs\/z\.c: this kernel is built without CONFIG_Z/);
    assert.equal(error.reason, 'not-configured');
    assert.deepEqual(error.leftOut?.map((out) => (out as { proof?: string }).proof).sort(), [
      'documents-only',
      'not-configured',
      'other-architecture',
    ]);
    const reasons: Record<string, string> = {
      'Documentation/x.rst': 'documents-only',
      'arch/arm64/boot/dts/a.dts': 'other-architecture',
      'arch/arm/Kconfig': 'other-architecture',
      'fs/zdata/table.reg': 'not-configured',
      'drivers/README': 'documents-only',
      'tools/testing/x.c': 'documents-only',
    };
    for (const [file, reason] of Object.entries(reasons))
      assert.equal((await provokes('not-built', () => plan(file))).reason, reason, file);
  });

  test('nothing-patchable: configuration, programs of the build, unused headers; never status 3', async () => {
    const files = [
      'init/Kconfig',
      'arch/x86/configs/x86_64_defconfig',
      'tools/objtool/check.c',
      'scripts/mod/modpost.c',
    ];
    for (const file of [...files, 'scripts/Makefile.lib', 'include/uapi/linux/unused.h']) {
      const error = await provokes('nothing-patchable', () => plan(file, 'Documentation/x.rst'));
      assert.equal(error.exit, 4);
      assert.match(error.detail ?? '', new RegExp(`^${file}: `, 'm'));
    }
  });

  test('source-kind-unsupported: code and tables in kernel folders whatever their names, also beside C source', async () => {
    const generated = ['arch/x86/crypto/a.pl', 'arch/x86/lib/x86-opcode-map.txt', 'arch/x86/tools/gen.awk', 'lib/a.py'];
    const image = ['arch/x86/boot/main.c', 'arch/x86/realmode/rm/wakemain.c', 'arch/x86/purgatory/purgatory.c'];
    const more = ['drivers/firmware/efi/libstub/file.c', 'lib/vdso/gettimeofday.c', 'arch/x86/entry/vdso/Makefile'];
    const other = ['fs/unlisted.c', 'arch/x86/kernel/vmlinux.lds.S', 'arch/x86/a.dts', 'fs/x.sh', 'kernel/words.json'];
    for (const file of [...generated, ...image, ...more, ...other]) {
      await provokes('source-kind-unsupported', () => plan(file));
      await provokes('source-kind-unsupported', () => plan(file, 'fs/a.c'));
    }
  });

  test('configuration-added: code that depends on an option of the same patch', async () => {
    const patch = (kconfig: string, code: string): Promise<unknown> => {
      const hunk = (file: string, line: string): string =>
        `--- a/${file}\n+++ b/${file}\n@@ -1,1 +1,2 @@\n line 1\n+${line}\n`;
      const text = hunk(kconfig, 'config MORE_CARE') + hunk('fs/a.c', code);
      return planBuild([parse(text)], map, new Map(), () => [], 'x');
    };
    await provokes('configuration-added', () => patch('fs/Kconfig', '#ifdef CONFIG_MORE_CARE'));
    await provokes('configuration-added', () => patch('fs/Kconfig.debug', 'if (IS_ENABLED(CONFIG_MORE_CARE))'));
    await patch('fs/Kconfig', 'if (IS_ENABLED(CONFIG_OTHER))');
    await patch('arch/arm64/Kconfig', '#ifdef CONFIG_MORE_CARE');
  });

  test('source-kind-unsupported: assembly, linker scripts, removed files', async () => {
    await provokes('source-kind-unsupported', () => plan('arch/x86/entry.S'));
    await provokes('source-kind-unsupported', () => plan('arch/x86/kernel.lds'));
    const gone = parse('--- a/fs/a.c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-line 1\n');
    await provokes('source-kind-unsupported', () => planBuild([gone], map, new Map(), () => [], 'x'));
  });
});

describe('names of modules', () => {
  test('from the patch, or as given', async () => {
    for (const file of ['0001-fix-it.patch', '0001-fix-it.diff.gz', '0001-fix-it.mbox', '0001-fix-it'])
      assert.equal(nameFor(file), 'livepatch_0001_fix_it');
    assert.equal(nameFor(`${'x'.repeat(80)}.patch`).length, 55);
    assert.equal(checkName('a_b1'), 'a_b1');
    for (const name of ['', '1a', 'a-b', 'a b', 'x'.repeat(56), 'ä'])
      await provokes('name-invalid', () => checkName(name));
  });
});
