/** Author headers compiled on the spot, and the states that come out of them. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { declaredStates, readStates, statesOf } from '#kpatch/builder/rules/states.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { authorHeaders } from '#kpatch/source/author-header-files.ts';
import { placeAuthorHeaders } from '#kpatch/source/author-headers.ts';
import { parseSourcePatch } from '#kpatch/source/patch.ts';
import { compile } from '../module/made-module.ts';
import { provokes } from '../provoke.ts';

/** The headers with as much of the kernel's as they use. */
const kernel = `
typedef unsigned long long u64;
typedef unsigned int u32;
#define NULL ((void *)0)
#define __aligned(n) __attribute__((aligned(n)))
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define __UNIQUE_ID(name) PASTE(name, __COUNTER__)
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 1, 0)
`;
const macros = [...authorHeaders()]
  .sort(([a], [b]) => (a > b ? -1 : 1))
  .map(([, text]) => text.replace(/^#include.*$/gm, ''))
  .join('\n');
const declared = (text: string) => declaredStates(new ElfFile(compile(text), 'a.o'), 'kernel/a.o');
const unit = (text: string) => declared(`${kernel}${macros}${text}`);
const v61 = { major: 6, minor: 1 };

describe('system states', () => {
  test('KPATCH_STATE in several units, sorted by identifier, each once', () => {
    const one = unit('KPATCH_STATE(70000000000, 1);\nKPATCH_STATE(8, 4);');
    const two = unit('KPATCH_STATE(8, 4)\nKPATCH_STATE(3, 0)');
    assert.deepEqual(statesOf([...one, ...two, ...unit('int a;')], v61), [
      { id: 3, version: 0 },
      { id: 8, version: 4 },
      { id: 70000000000, version: 1 },
    ]);
  });

  test('state-invalid: identifier 0, two versions of one, a section that is none', async () => {
    await provokes('state-invalid', () => statesOf(unit('KPATCH_STATE(0, 1);'), v61));
    await provokes('state-invalid', () =>
      statesOf([...unit('KPATCH_STATE(1, 1);'), ...unit('KPATCH_STATE(1, 2);')], v61),
    );
    const [short] = declared('char a[7] __attribute__((section(".kpatch.states"))) = { 1 };');
    await provokes('state-invalid', () => readStates(short!));
  });

  test('state-unsupported: a kernel before 5.5', async () => {
    await provokes('state-unsupported', () => statesOf(unit('KPATCH_STATE(1, 1);'), { major: 5, minor: 4 }));
    assert.deepEqual(statesOf(unit('int a;'), { major: 5, minor: 4 }), []);
  });
});

describe('author headers', () => {
  /** A tree with an `include` folder and a file. */
  function tree(folder: string): { overlay: SourceOverlay; tree: string } {
    mkdirSync(join(folder, 'tree/include/linux'), { recursive: true });
    mkdirSync(join(folder, 'overlay'));
    writeFileSync(join(folder, 'tree/include/linux/a.h'), 'int a;\n');
    return { overlay: new SourceOverlay(join(folder, 'tree'), join(folder, 'overlay')), tree: join(folder, 'tree') };
  }
  const patch = (line: string) =>
    parseSourcePatch('x.patch', Buffer.from(`--- a/k.c\n+++ b/k.c\n@@ -1,1 +1,2 @@\n+${line}\n int a;\n`));

  test('they lie on the include path of the patched source where a patch includes them, and never in the tree', () => {
    for (const line of ['#include "kpatch-macros.h"', '# include <kpatch-syscall.h>']) {
      using folder = temporaryFolder('kpatch-headers-');
      const { overlay, tree: original } = tree(folder.path);
      placeAuthorHeaders(overlay, [patch(line)]);
      assert.match(readFileSync(join(overlay.root, 'include/kpatch-macros.h'), 'utf8'), /KPATCH_PRE_PATCH_CALLBACK/);
      assert.equal(readFileSync(join(overlay.root, 'include/linux/a.h'), 'utf8'), 'int a;\n');
      assert.throws(() => readFileSync(join(original, 'include/kpatch-macros.h')));
    }
  });

  test('a patch without them leaves the overlay as it is', () => {
    using folder = temporaryFolder('kpatch-headers-');
    const { overlay } = tree(folder.path);
    placeAuthorHeaders(overlay, [patch('#include "kpatches.h"')]);
    assert.deepEqual([...overlay.copies], []);
  });

  test('every macro of the patch author guide is there', () => {
    const names = [
      ...['PRE_PATCH', 'POST_PATCH', 'PRE_UNPATCH', 'POST_UNPATCH'].map((phase) => `${phase}_CALLBACK`),
      ...['IGNORE_SECTION', 'IGNORE_FUNCTION', 'FORCE_UNSAFE', 'PRINTK', 'PRINTK_DEFERRED', 'STATIC_CALL'],
      ...[1, 2, 3, 4, 5, 6].map((count) => `SYSCALL_DEFINE${count}`),
    ];
    for (const name of names) assert.match(macros, new RegExp(`^#define KPATCH_${name}\\(`, 'm'), name);
  });

  test('a callback of the wrong type is refused by the compiler', () => {
    const text = 'static void f(patch_object *o) {}\nKPATCH_PRE_PATCH_CALLBACK(f);';
    assert.throws(() => compile(`${kernel}${macros}${text}`, ['-Werror=incompatible-pointer-types']));
    unit('static int f(patch_object *o) { return 0; }\nKPATCH_PRE_PATCH_CALLBACK(f);');
  });
});
