/** What a series may change in Makefiles. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkLines, compareMaps, isForeign, isMakefile } from '#kpatch/builder/rules/makefiles.ts';
import type { ObjectMap, Owner } from '#kpatch/kbuild/object-map.ts';
import { parseSourcePatch } from '#kpatch/source/patch.ts';
import { provokes } from '../provoke.ts';

const vmlinux: Owner = { object: 'vmlinux', directory: 'fs' };
const tun: Owner = { object: 'tun', directory: 'drivers', path: 'drivers/tun' };
const kernel: [string, Owner[]][] = [
  ['fs/a.o', [vmlinux]],
  ['arch/x86/b.o', [vmlinux]],
  ['drivers/c.o', [tun]],
];
const before: ObjectMap = new Map(kernel);

test('which files are Makefiles, and which are of another architecture', () => {
  assert.deepEqual(
    ['fs/Makefile', 'arch/x86/Kbuild', 'fs/Makefile.inc', 'fs/makefile.c', 'tools/testing/selftests/net/Makefile'].map(
      isMakefile,
    ),
    [true, true, true, false, false],
  );
  assert.deepEqual([isForeign('arch/arm/Makefile', before), isForeign('arch/x86/Makefile', before)], [true, false]);
});

describe('what make builds after the patch', () => {
  test('new units of objects that the kernel has', () => {
    const after: ObjectMap = new Map([...kernel, ['fs/new.o', [vmlinux]], ['drivers/more.o', [tun]]]);
    assert.deepEqual([...compareMaps(before, after, 'fs/Makefile').keys()], ['fs/new.o', 'drivers/more.o']);
    assert.equal(compareMaps(before, before, 'fs/Makefile').size, 0);
  });

  test('source-kind-unsupported: a new module, a unit that moves, one that goes', async () => {
    const other: Owner = { object: 'other', directory: 'drivers', path: 'drivers/other' };
    const cases: [RegExp, [string, Owner[]][]][] = [
      [/adds the module other/, [...kernel, ['drivers/o.o', [other]]]],
      [/moves drivers\/c.o from tun to vmlinux/, [...kernel.slice(0, 2), ['drivers/c.o', [vmlinux]]]],
      [/takes drivers\/c.o out of tun/, kernel.slice(0, 2)],
    ];
    for (const [text, after] of cases) {
      const error = await provokes('source-kind-unsupported', () => compareMaps(before, new Map(after), 'fs/Makefile'));
      assert.match(error.why, text);
    }
  });
});

describe('lines of a Makefile', () => {
  const added: ObjectMap = new Map([['fs/new.o', [vmlinux]]]);
  const check = (...lines: string[]): void => checkIn('fs/Makefile', ...lines);
  const checkIn = (file: string, ...lines: string[]): void => {
    const text = `--- a/${file}\n+++ b/${file}\n@@ -1,1 +1,${lines.length + 1} @@\n obj-y += a.o\n${lines.map((line) => `+${line}\n`).join('')}`;
    checkLines(parseSourcePatch('x.patch', Buffer.from(text)).files[0]!, added);
  };

  test('lists of objects, comments, and settings of the new units', () => {
    check('obj-y += new.o', 'proc-$(CONFIG_X)\t+= new.o more.o', 'tun-objs := a.o \\', '\t\t  b.o ../c.o', '', '# why');
    check('CFLAGS_new.o := -O1', 'KASAN_SANITIZE_new.o := n');
  });

  test('the version in the top Makefile, which the running kernel keeps', async () => {
    checkIn('Makefile', 'SUBLEVEL = 193');
    await provokes('source-kind-unsupported', () => check('SUBLEVEL = 193'));
  });

  test('source-kind-unsupported: flags, conditions, rules', async () => {
    const lines = [
      'ccflags-y += -DX',
      'CFLAGS_a.o := -O1',
      'ifdef CONFIG_X',
      'x.o: y.h',
      'KASAN_SANITIZE := n',
      'obj-y += $(x)',
    ];
    for (const line of lines) await provokes('source-kind-unsupported', () => check(line));
  });
});
