/** What a kernel's own headers say decides, whatever its version number: vendors backport. The trees are written by the test. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { askKernel, type StructureQuestion, targetFacts } from '#kpatch/kbuild/structures.ts';
import { features, has, type KernelRules, longestName, type TargetFacts } from '#kpatch/platform/kernel-rules.ts';
import { structuresOf, tablesOf } from '#kpatch/platform/structures.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';
import { oldClang } from '../compilers.ts';
import { provokes } from '../provoke.ts';

/** A kernel that calls itself 4.18, as RHEL 8 does. */
const dated: KernelRules = { major: 4, minor: 18, config: () => undefined };

/** Headers of such a kernel with what a vendor has taken from later ones. */
const backported = {
  'linux/module.h': '#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, __stringify(ns))',
  'linux/moduleloader.h': 'void clear_relocate_add(void);',
  'linux/kallsyms.h': '#define KSYM_NAME_LEN 512',
  'linux/livepatch.h': `struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; };
struct klp_callbacks { int (*pre_patch)(void); };
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; };
struct klp_state { unsigned long id; unsigned int version; void *data; };
struct klp_patch { void *mod; struct klp_object *objs; struct klp_state *states; _Bool replace; };
int klp_apply_section_relocs(void);`,
  'linux/jump_label.h': 'struct jump_entry { int code; int target; long key; };',
  'asm/extable.h': 'struct exception_table_entry { int insn, fixup, data; };',
  'asm/alternative.h':
    'struct alt_instr { int instr_offset; int repl_offset; union { struct { unsigned cpuid: 16; unsigned flags: 16; }; unsigned ft_flags; }; unsigned char instrlen, replacementlen; } __attribute__((packed));',
  'linux/bug.h': 'struct bug_entry { int bug_addr_disp; int file_disp; unsigned short line; unsigned short flags; };',
};

describe("a kernel's own structures", () => {
  const root = temporaryFolder('kpatch-structures-test-');
  after(() => root.dispose());
  let count = 0;

  /** A source tree with these headers, and the question about it. */
  function tree(headers: Readonly<Record<string, string>>): StructureQuestion {
    const path = join(root.path, `tree-${count++}`);
    for (const [name, text] of Object.entries(headers)) {
      const file = join(path, 'include', name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `#pragma once\n${text}\n`);
    }
    return {
      tree: path,
      variables: {
        CC: 'gcc',
        NOSTDINC_FLAGS: '-nostdinc',
        LINUXINCLUDE: '-I./include',
        KBUILD_CFLAGS: '-O2 -DX=\'"x y"\'',
      },
      structures: structuresOf(x86_64, dated),
      headers: x86_64.structureHeaders!,
    };
  }

  const rules = (target: TargetFacts): KernelRules => ({ ...dated, target });
  const table = (kernel: KernelRules, name: string) => tablesOf(x86_64, kernel).find((one) => one.name === name)!;

  it('count more than its version: sizes, fields, features, the length of names', async () => {
    const kernel = rules(await askKernel(tree(backported)));
    assert.deepEqual([table(dated, '__jump_table').size, table(kernel, '__jump_table').size], [24, 16]);
    assert.deepEqual(table(kernel, '__jump_table').key?.field, 8);
    assert.deepEqual([table(dated, '.altinstructions').size, table(kernel, '.altinstructions').size], [13, 14]);
    assert.equal(table(kernel, '.altinstructions').replacement?.length, 13);
    assert.equal(table(kernel, '__bug_table').line?.offset, 8);
    assert.deepEqual([longestName(dated), longestName(kernel)], [127, 511]);
    const shown = Object.keys(features).filter((name) => has(kernel, name as keyof typeof features));
    assert.deepEqual(shown, ['atomicReplace', 'callbacks', 'states', 'earlyRelocations', 'clearedRelocations']);
    assert.deepEqual(
      Object.keys(features).filter((name) => has(dated, name as keyof typeof features)),
      ['callbacks'],
    );
  });

  it('are the same for each compiler, and where code is compiled for the link', async () => {
    const question = tree(backported);
    const byGcc = await askKernel(question);
    for (const [CC, flags] of [
      ['gcc', '-O2 -flto'],
      [oldClang, '-O2'],
      [oldClang, '-O2 -flto=thin -fvisibility=hidden -fsanitize=cfi'],
    ] as const) {
      const variables = { ...question.variables, CC, KBUILD_CFLAGS: flags };
      assert.deepEqual(await askKernel({ ...question, variables }), byGcc, `${CC} ${flags}`);
    }
  });

  it('may be fewer: what the kernel does not have goes by its version, or is absent', async () => {
    const { structures } = await askKernel(tree({ 'linux/kallsyms.h': '#define KSYM_NAME_LEN 128' }));
    assert.deepEqual(structures, {});
    const kernel = rules(await askKernel(tree({ 'linux/kallsyms.h': '#define KSYM_NAME_LEN 128' })));
    assert.equal(table(kernel, '__jump_table').size, 24);
    assert.equal(has(kernel, 'callbacks'), true);
    assert.equal(longestName(kernel), 127);
  });

  it('are refused where an entry has an unknown form and code could be missed', async () => {
    const odd = { ...backported, 'asm/alternative.h': 'struct alt_instr { int repl, instr; short more[6]; };' };
    const kernel = rules(await askKernel(tree(odd)));
    const error = await provokes('kernel-structure-unknown', () => tablesOf(x86_64, kernel));
    assert.match(error.message, /alt_instr.*20 bytes/);
    const moved = { ...backported, 'linux/jump_label.h': 'struct jump_entry { int code, target, more, key; };' };
    const other = rules(await askKernel(tree(moved)));
    await provokes('kernel-structure-unknown', () => tablesOf(x86_64, other));
  });

  it('of an unknown form without either are known by their size alone', async () => {
    const odd = { ...backported, 'linux/bug.h': 'struct bug_entry { int bug_addr_disp, file_disp, more[3]; };' };
    const bugs = table(rules(await askKernel(tree(odd))), '__bug_table');
    assert.deepEqual([bugs.size, bugs.line, bugs.fields, bugs.others], [20, undefined, undefined, undefined]);
  });

  it('that the compiler refuses are an error with its message', async () => {
    const question = tree({ ...backported, 'linux/module.h': '#error no such kernel' });
    const error = await provokes('kernel-structures', () => askKernel(question));
    assert.match(String(error.detail), /no such kernel/);
  });

  it('are kept, and asked again where what is kept is damaged', async () => {
    const question = tree(backported);
    const folder = join(root.path, 'kept');
    const first = await targetFacts(question, folder);
    const broken = { ...question, variables: { ...question.variables, CC: 'false' } };
    assert.deepEqual(await targetFacts(broken, folder), first);
    // A new table or rule asks for more: what was kept before it does not count.
    const more = { ...broken, structures: [...broken.structures, 'lathe_site'] };
    await provokes('kernel-structures', () => targetFacts(more, folder));
    const [file] = readdirSync(folder);
    for (const text of ['', '{}', '{"structures":{},"features":null']) {
      writeFileSync(join(folder, file!), text);
      await provokes('kernel-structures', () => targetFacts(broken, folder));
      assert.deepEqual(await targetFacts(question, folder), first);
    }
  });
});
