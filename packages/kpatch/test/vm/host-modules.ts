/**
 * Live patches written by hand for tests of the host: C against the stock kernel's headers, with the manifest that each
 * should have.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import { type Manifest, manifestBytes } from '#kpatch/module/manifest.ts';
import { prepared } from '../prepared.ts';
import type { StockKernel } from './stock-kernel.ts';

export interface HandMade {
  readonly name: string;
  /** The function that it replaces. */
  readonly function: string;
  /** Its new definition, under the name `replacement`. */
  readonly code: string;
  /** Fields of the manifest; false for a module that has none. */
  readonly manifest: Partial<Manifest> | false;
  /** System states that it declares to the kernel; its manifest says so too. */
  readonly states?: Manifest['states'];
  /** Body of a callback that runs once the patch is active. */
  readonly whenActive?: string;
}

/** `/proc/loadavg` says which patch is active: programs hardly read it. */
const tells = (name: string): string => {
  return `static int replacement(struct seq_file *m, void *v) { seq_puts(m, "${name}\\n"); return 0; }`;
};
/** A cumulative patch that makes `/proc/loadavg` say its name. */
export const cumulative = (name: string, version: number): HandMade => ({
  name,
  function: 'loadavg_proc_show',
  code: tells(name),
  manifest: { version, cves: [`CVE-2026-${version}`] },
});

export const handMade: readonly HandMade[] = [
  cumulative('lp_one', 1),
  cumulative('lp_two', 2),
  cumulative('lp_three', 3),
  { ...cumulative('lp_panics', 4), whenActive: 'panic("lp_panics: a bad patch");' },
  { ...cumulative('lp_foreign', 0), manifest: false },
  // pause(2) sleeps in it until a signal comes.
  {
    name: 'lp_pause',
    function: '__x64_sys_pause',
    code: `static long replacement(const struct pt_regs *regs) {
  while (!signal_pending(current)) { __set_current_state(TASK_INTERRUPTIBLE); schedule(); }
  return -ERESTARTNOHAND;
}`,
    manifest: { version: 1, line: 'pause' },
  },
  // It ends with a jump to another function, in which pause(2) sleeps: the replaced function is not on the stack then.
  {
    name: 'lp_jump',
    function: '__x64_sys_pause',
    code: `static noinline long deeper(const struct pt_regs *regs) {
  while (!signal_pending(current)) { __set_current_state(TASK_INTERRUPTIBLE); schedule(); }
  return -ERESTARTNOHAND;
}
static long replacement(const struct pt_regs *regs) { return deeper(regs); }`,
    manifest: { version: 1, line: 'pause' },
  },
  // The parent of vfork(2) sleeps in it, deaf to all signals that do not kill, until its child has ended.
  {
    name: 'lp_vfork',
    function: '__x64_sys_vfork',
    code: 'static long replacement(const struct pt_regs *regs) { return -ENOSYS; }',
    manifest: { version: 1, line: 'vfork' },
  },
  // A kernel thread that never leaves it.
  {
    name: 'lp_kswapd',
    function: 'kswapd',
    code: 'static int replacement(void *p) { return 0; }',
    manifest: { version: 1, line: 'kswapd' },
  },
  { ...cumulative('lp_other_build', 5), manifest: { version: 5, buildId: 'ff'.repeat(20) } },
  { ...cumulative('lp_state', 6), states: [{ id: 7, version: 2 }] },
];

/** A module that is not a patch: its probe may change where `loadavg_proc_show` goes on, as a patch does. */
const hook = `#include <linux/module.h>
#include <linux/kprobes.h>
static void after(struct kprobe *p, struct pt_regs *regs, unsigned long flags) {}
static struct kprobe probe = { .symbol_name = "loadavg_proc_show", .post_handler = after };
static int begin(void) { return register_kprobe(&probe); }
static void end(void) { unregister_kprobe(&probe); }
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
`;

const madeFrom = [import.meta.filename, join(import.meta.dirname, '../../module/manifest.ts')];

/** All of them for a kernel, built by the first test file that asks; gives the modules by name. */
export async function buildHandMade(kernel: StockKernel): Promise<ReadonlyMap<string, Buffer>> {
  const folder = await prepared(`host-modules-${kernel.release}`, madeFrom, async (place) => {
    for (const [name, bytes] of await buildModules(kernel, handMade, { hook }))
      writeFileSync(join(place, `${name}.ko`), bytes);
  });
  return new Map(readdirSync(folder).map((name) => [basename(name, '.ko'), readFileSync(join(folder, name))]));
}

/** Builds live patches, and modules that are none from their source by name, with one run of kbuild. */
export async function buildModules(
  kernel: StockKernel,
  patches: readonly HandMade[],
  others: Readonly<Record<string, string>> = {},
): Promise<ReadonlyMap<string, Buffer>> {
  using folder = temporaryFolder('kpatch-hand-made-');
  const names = [...patches.map(({ name }) => name), ...Object.keys(others)];
  writeFileSync(join(folder.path, 'Kbuild'), `${names.map((name) => `obj-m += ${name}.o`).join('\n')}\n`);
  for (const [name, text] of Object.entries(others)) writeFileSync(join(folder.path, `${name}.c`), text);
  for (const module of patches) writeFileSync(join(folder.path, `${module.name}.c`), source(module));
  // Type information for BPF (6.12 has it) would need pahole, and a livepatch module does not need it.
  const settings = ['CC=gcc-12', 'CONFIG_DEBUG_INFO_BTF_MODULES='];
  await runOk('make', ['-C', kernel.headers, `M=${folder.path}`, ...settings, 'modules'], { timeoutMs: 300_000 });
  const modules = new Map<string, Buffer>();
  mkdirSync(join(folder.path, 'out'));
  for (const { name, function: patched, manifest, states = [] } of patches) {
    const built = join(folder.path, `${name}.ko`);
    if (manifest !== false) {
      const file = join(folder.path, `${name}.manifest`);
      writeFileSync(file, manifestBytes(full(name, patched, kernel.release, { states, ...manifest })));
      await runOk('objcopy', ['--add-section', `.kpatch.manifest=${file}`, built]);
    }
    modules.set(name, readFileSync(built));
  }
  for (const name of Object.keys(others)) modules.set(name, readFileSync(join(folder.path, `${name}.ko`)));
  return modules;
}

function full(name: string, patched: string, release: string, fields: Partial<Manifest>): Manifest {
  return {
    schema: 'kpatch.manifest/1',
    name,
    version: 1,
    release,
    arch: 'x86_64',
    replace: true,
    functions: [{ name: patched, object: 'vmlinux', sympos: 0, patches: [] }],
    cves: [],
    states: [],
    patches: [],
    runPre: 'skipped',
    tool: 'by hand',
    ...fields,
  };
}

function source({ function: patched, code, manifest, states, whenActive }: HandMade): string {
  const callback =
    whenActive === undefined ? '' : `static void when_active(struct klp_object *obj) { ${whenActive} }\n`;
  const values = states?.map(({ id, version }) => `{ .id = ${id}, .version = ${version} }, `).join('') ?? '';
  const declared = states === undefined ? '' : `static struct klp_state states[] = { ${values}{} };\n`;
  return `#include <linux/module.h>
#include <linux/livepatch.h>
#include <linux/seq_file.h>
#include <linux/sched/signal.h>
${code}
${callback}${declared}static struct klp_func funcs[] = { { .old_name = "${patched}", .new_func = replacement }, {} };
static struct klp_object objs[] = { { .funcs = funcs${whenActive === undefined ? '' : ', .callbacks.post_patch = when_active'} }, {} };
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, .replace = ${manifest === false ? 'false' : 'true'}${states === undefined ? '' : ', .states = states'} };
static int begin(void) { return klp_enable_patch(&patch); }
static void end(void) {}
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
`;
}
