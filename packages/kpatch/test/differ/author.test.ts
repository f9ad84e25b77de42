/** What a patch asks for in its own `.kpatch.*` sections, with the headers that patch authors include. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { readCallbacks } from '#kpatch/module/intermediate.ts';
import { provokes } from '../provoke.ts';
import { differ, functionsOf, gccPadded } from './fixture.ts';

const macros = readFileSync(
  join(import.meta.dirname, '../../../../packages/kpatch/include/kpatch/kpatch-macros.h'),
  'utf8',
);
/** The header, with as much of the kernel's as it uses. */
const header = `
typedef unsigned long long u64; typedef unsigned int u32;
#define NULL ((void *)0)
#define __aligned(n) __attribute__((aligned(n)))
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define __UNIQUE_ID(name) PASTE(name, __COUNTER__)
${macros.replace(/^#include.*$/gm, '')}`;

const before =
  'int table[4] __attribute__((section(".data.odd"))) = { 1 }; int f(int a) { return use(a) + table[a]; } int g(int a) { return use(a + 2); }';
const after = `${header}${before.replace('use(a) +', 'use(a + 1) +')}\n`;

describe('wishes of a patch', () => {
  test('KPATCH_IGNORE_FUNCTION: its difference is left out, with a note', () => {
    const result = differ(before, `${after.replace('a + 2', 'a + 3')}KPATCH_IGNORE_FUNCTION(g);`);
    assert.deepEqual(functionsOf(result), ['changed f']);
    assert.match(result.notes.join('\n'), /ignoring the change of g/);
  });

  test('KPATCH_IGNORE_SECTION: differences of that section are of no consequence', async () => {
    const changed = after.replace('{ 1 }', '{ 2 }');
    await assert.rejects(async () => differ(before, changed));
    assert.deepEqual(functionsOf(differ(before, `${changed}KPATCH_IGNORE_SECTION(".data.odd");`)), ['changed f']);
  });

  test('KPATCH_IGNORE_SECTION: lists that only one of the objects has, as the macros for system calls make them', async () => {
    const lists = ['__syscalls_metadata', '_ftrace_events', '__own_list'];
    const list = (name: string): string =>
      `static void *entry_${name} __attribute__((used, section("${name}"))) = NULL;\n`;
    const entries = lists.map(list).join('');
    const ignored = lists.map((name) => `KPATCH_IGNORE_SECTION("${name}");\n`).join('');
    await provokes('diff-list-changed', () => differ(before, after + entries));
    for (const [one, other] of [
      [before, after + entries],
      [before + entries.replaceAll('NULL', '0'), after],
      [before + entries.replaceAll('NULL', 'f'), after + entries],
    ]) {
      const result = differ(one!, other! + ignored);
      assert.deepEqual(functionsOf(result), ['changed f']);
      assert.deepEqual(result.leftOut, []);
    }
  });

  test('KPATCH_INCLUDE_FUNCTION: a function without a difference is replaced', () => {
    const result = differ(before, `${after}KPATCH_INCLUDE_FUNCTION(g);`);
    assert.deepEqual(functionsOf(result), ['changed f', 'changed g']);
    const reasons = result.functions.find(({ name }) => name === 'g')?.reasons.map(({ text }) => text);
    assert.deepEqual(reasons, ['the patch requests it']);
    // It alone makes a live patch.
    assert.deepEqual(functionsOf(differ(before, `${header}${before}\nKPATCH_INCLUDE_FUNCTION(g);`)), ['changed g']);
  });

  test('diff-include-unknown: a name that is no function here', async () => {
    await provokes('diff-include-unknown', () => differ(before, `${after}KPATCH_INCLUDE_FUNCTION(nobody);`));
    await provokes('diff-include-unknown', () => differ(before, `${after}KPATCH_INCLUDE_FUNCTION(table);`));
  });

  test('KPATCH_FORCE_UNSAFE: a note that it has no effect', () => {
    assert.match(
      differ(before, `${after}KPATCH_FORCE_UNSAFE(f);`).notes.join('\n'),
      /KPATCH_FORCE_UNSAFE\(f\) has no effect/,
    );
  });

  test('the records do not travel, callbacks do, named by the object; entry and name behind call padding are right', () => {
    const callbacks = `static int pre(patch_object *o) { return use(7); } KPATCH_PRE_PATCH_CALLBACK(pre);
      static void late(patch_object *o) { use(8); } KPATCH_POST_UNPATCH_CALLBACK(late);
      KPATCH_STATE(1, 2); KPATCH_IGNORE_SECTION("x"); KPATCH_INCLUDE_FUNCTION(g); KPATCH_FORCE_UNSAFE(f);`;
    for (const toolchain of [undefined, gccPadded]) {
      const setting = { object: 'tun', ...(toolchain === undefined ? {} : { toolchain }) };
      const result = differ(before, after + callbacks, setting);
      assert.deepEqual(functionsOf(result), ['changed f', 'changed g', 'new late', 'new pre']);
      const object = readObject(intermediateObject(result.patch()), 'output.o');
      const kept = object.sections.map(({ name }) => name).filter((name) => name.startsWith('.kpatch.'));
      assert.ok(!kept.some((name) => /states|ignore|include|force/.test(name)), kept.join(' '));
      const found = readCallbacks(object).map(({ phase, object: patched, symbol, offset }) => {
        const value = symbol.value + offset;
        const at = object.symbols.find(
          (one) => one.section === symbol.section && one.value === value && one.type === 2,
        );
        return [phase, patched, at?.name];
      });
      assert.deepEqual(found, [
        ['pre_patch', 'tun', 'pre'],
        ['post_unpatch', 'tun', 'late'],
      ]);
    }
  });
});
