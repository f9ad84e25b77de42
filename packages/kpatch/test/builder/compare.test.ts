/** What is refused of compiled pairs before the differ's own refusals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuseInit } from '#kpatch/builder/stages/compare.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { compile } from '../module/made-module.ts';
import { provokes } from '../provoke.ts';

const unit = { object: 'fs/new.o', owners: [], through: [], added: true };

test('diff-init-changed: a new file that would have to be started', async () => {
  const sources = [
    'static int start(void) { return 0; } void *entry __attribute__((section(".initcall6.init"))) = start;',
    '__attribute__((section(".init.text"))) int start(void) { return 0; }',
  ];
  for (const source of sources) {
    const error = await provokes('diff-init-changed', () =>
      refuseInit(new ElfFile(compile(source), 'new.o'), unit, 'vmlinux'),
    );
    assert.match(error.message, /the initialisation code in the new file fs\/new\.c/);
  }
  refuseInit(new ElfFile(compile('int work(void) { return 0; }'), 'new.o'), unit, 'vmlinux');
});
