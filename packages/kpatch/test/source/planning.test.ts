/** What a patch means for one kernel: units to compile, files that do not matter, and files that a live patch cannot change. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { filesLeftOut } from '#kpatch/builder/out-of-tree.ts';
import { planBuild, sortFiles, withoutFiles } from '#kpatch/builder/planning/plan.ts';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { applyPatch } from '#kpatch/source/apply.ts';
import { placeInTree } from '#kpatch/source/patch.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { change, lines, parse } from './small-patch.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-planning-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

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
