/** What a series may change in Makefiles. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkMakefile, compareMaps, isForeign, isMakefile } from '#kpatch/builder/rules/makefiles.ts';
import type { ObjectMap, Owner } from '#kpatch/kbuild/object-map.ts';
import { attack } from '../attack.ts';
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
      [/removes drivers\/c.o from tun/, kernel.slice(0, 2)],
    ];
    for (const [text, after] of cases) {
      const error = await provokes('source-kind-unsupported', () => compareMaps(before, new Map(after), 'fs/Makefile'));
      assert.match(error.why, text);
    }
  });
});

describe('changes of a Makefile', () => {
  const check = (...lines: string[]): void => checkIn('fs/Makefile', ...lines);
  const checkIn = (file: string, ...lines: string[]): void =>
    checkMakefile(file, 'obj-y += a.o\n', `obj-y += a.o\n${lines.map((line) => `${line}\n`).join('')}`, before);

  test('lists of objects, comments, and settings of new units', () => {
    check(
      'obj-y += new.o',
      'proc-$(CONFIG_X)\t+= new.o more.o # why',
      'tun-objs := a.o \\',
      '\t\t  b.o ../c.o',
      '',
      '# why',
    );
    check('CFLAGS_new.o := -O1 -I$(srctree)/fs', 'KASAN_SANITIZE_new.o := n', 'obj-$(CONFIG_Y) += new/');
    checkMakefile('fs/Makefile', 'obj-y += a.o \\\n  c.o\n', 'obj-y += a.o \\\n  b.o \\\n  c.o\n', before);
  });

  test('the version in the top Makefile, which the running kernel keeps', async () => {
    checkIn('Makefile', 'SUBLEVEL = 193', 'NAME = Curry Ramen');
    await provokes('source-kind-unsupported', () => check('SUBLEVEL = 193'));
  });

  test('source-kind-unsupported: flags, conditions, rules, and whatever runs a program while make reads', async () => {
    const lines = [
      'ccflags-y += -DX',
      'ccflags-y += x.o',
      'CFLAGS_a.o := -O1',
      'CFLAGS_new.o := -fplugin=/tmp/x.so',
      'CFLAGS_new.o := $(shell touch /tmp/x)',
      'CFLAGS_new.o := -I../../../../tmp',
      'always-y += x.o',
      'ifdef CONFIG_X',
      'x.o: y.h',
      'KASAN_SANITIZE := n',
      'obj-y += $(x)',
      'obj-y += $(shell touch /tmp/x).o',
      'obj-y += ../../tmp/x/',
      'obj-y += /tmp/x.o',
      '\tfoo.o',
      'include /tmp/x',
      '$(shell touch /tmp/x)',
    ];
    for (const line of lines) await provokes('source-kind-unsupported', () => check(line));
    for (const value of ['$(shell touch /tmp/x)', '`touch /tmp/x`'])
      await provokes('source-kind-unsupported', () => checkIn('Makefile', `NAME = ${value}`));
  });

  attack({ area: 'patch', attacker: 'patch author', how: 'a $(shell …) in a Makefile runs while make reads it' }, () =>
    provokes('source-kind-unsupported', () => check('x := $(shell touch /tmp/x)')),
  );

  test('a backslash that takes the next line in is seen', async () => {
    const text = 'obj-y += a.o\nCFLAGS_REMOVE_a.o = -pg\n';
    const joined = text.replace('a.o\n', 'a.o b.o \\\n');
    await provokes('source-kind-unsupported', () => checkMakefile('fs/Makefile', text, joined, before));
  });

  test('a line of any length is checked at once', async () => {
    const start = process.cpuUsage();
    for (const text of [
      `obj-y += ${'/'.repeat(60_000)}!`,
      `obj-y += ${'a.o'.repeat(20_000)}!`,
      `${' '.repeat(60_000)}!`,
    ])
      await provokes('source-kind-unsupported', () => check(text));
    assert.ok(process.cpuUsage(start).user < 1_000_000);
  });
});
