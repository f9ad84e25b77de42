/** Livepatch modules written by hand in C, built against the stock kernel's headers, for the tests of the proof. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import type { StockKernel } from '../vm/stock-kernel.ts';

export interface HandMade {
  /** Name of the module. */
  readonly name: string;
  /** C code before the tables: the new functions. */
  readonly code: string;
  /** Object (`vmlinux` or a module) → old function → new function; `old,2` sets the sympos. */
  readonly functions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly replace?: boolean;
  /** Members of `struct klp_object` for callbacks, by object: `.callbacks = { .pre_patch = f }`. */
  readonly callbacks?: Readonly<Record<string, string>>;
  /** Replaces the usual init function's body; it must end in a return. */
  readonly init?: string;
}

/** Builds the module (about 3 s) and gives its bytes. */
export async function handMadeModule(kernel: StockKernel, module: HandMade): Promise<Buffer> {
  using folder = temporaryFolder('kpatch-handmade-');
  writeFileSync(join(folder.path, `${module.name}.c`), sourceOf(module));
  writeFileSync(join(folder.path, 'Makefile'), `obj-m := ${module.name}.o\n`);
  // Type information for BPF (6.12 has it) would need pahole, and a livepatch module does not need it.
  const settings = ['CC=gcc-12', 'CONFIG_DEBUG_INFO_BTF_MODULES='];
  await runOk('make', ['-s', '-C', kernel.headers, `M=${folder.path}`, ...settings, 'modules']);
  return readFileSync(join(folder.path, `${module.name}.ko`));
}

function sourceOf({ code, functions, replace = false, callbacks = {}, init }: HandMade): string {
  const objects = Object.entries(functions);
  const tables = objects.map(([, table], at) => {
    const rows = Object.entries(table).map(([old, renewed]) => {
      const [name, sympos] = old.split(',');
      return `  { .old_name = "${name}", .new_func = ${renewed}${sympos === undefined ? '' : `, .old_sympos = ${sympos}`} },`;
    });
    return `static struct klp_func funcs${at}[] = {\n${rows.join('\n')}\n  { } };`;
  });
  const rows = objects.map(([name], at) => {
    const object = name === 'vmlinux' ? '' : `.name = "${name}", `;
    return `  { ${object}.funcs = funcs${at}, ${callbacks[name] ?? ''} },`;
  });
  return `// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/module.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
${code}
${tables.join('\n')}
static struct klp_object objs[] = {
${rows.join('\n')}
  { } };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, .replace = ${replace} };
static int __init patch_init(void) { ${init ?? 'return klp_enable_patch(&patch);'} }
static void __exit patch_exit(void) { }
module_init(patch_init);
module_exit(patch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
`;
}

/** Replaces /proc/cmdline's function (fs/proc/cmdline.c) by one that prints `text`. */
export function cmdlinePatch(name: string, text: string, more: Partial<HandMade> = {}): HandMade {
  return {
    name,
    code: `static int new_cmdline_proc_show(struct seq_file *m, void *v) { seq_puts(m, "${text}\\n"); return 0; }`,
    functions: { vmlinux: { cmdline_proc_show: 'new_cmdline_proc_show' } },
    ...more,
  };
}
