/** Patches that are bad on purpose, each caught by the check that was made for it. Each runs only the boot it is about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '../../src/prove/check.ts';
import { fullPlan } from '../../src/prove/plans.ts';
import { cmdlinePatch } from './livepatch-module.ts';
import { proveModule } from './prove-module.ts';

const onlyBoot = (id: string): Plan => ({ ...fullPlan, boots: fullPlan.boots.filter((boot) => boot.id === id) });
const body = (statements: string): string =>
  `static int new_cmdline_proc_show(struct seq_file *m, void *v) { ${statements} seq_puts(m, "x\\n"); return 0; }`;
const script = 'grep x$ /proc/cmdline';

test('a patch that leaks memory on each call', async () => {
  const leaks = cmdlinePatch('leaks', 'x', {
    code: `void *volatile kept;\n${body('kept = kmalloc(100, GFP_KERNEL);')}`,
  });
  const { failed, result } = await proveModule(leaks, { test: script, plan: onlyBoot('debug') });
  assert.deepEqual(Object.keys(failed), ['no-leak']);
  assert.match(failed['no-leak']!, /new_cmdline_proc_show/);
  const held = result.checks.filter(({ outcome }) => outcome === 'held').map(({ check }) => check);
  assert.ok(held.includes('debug/reached'), 'the leak must not hide what else was seen');
});

test('a patch that scribbles on a neighbour', async () => {
  const scribbles = cmdlinePatch('scribbles', 'x', {
    code: body(
      'volatile char *p = kmalloc(64, GFP_KERNEL); if (p) { ((volatile char *)p)[64 + (m == NULL)] = 7; kfree((void *)p); }',
    ),
  });
  const { failed } = await proveModule(scribbles, { test: script, plan: onlyBoot('debug') });
  assert.match(failed.neighbours ?? '', /beyond its end/);
  assert.ok(
    Object.keys(failed).every((check) => ['neighbours', 'log-clean', 'no-leak'].includes(check)),
    JSON.stringify(failed),
  );
});

test('a patch that deadlocks with its own callback', async () => {
  const deadlocks = cmdlinePatch('deadlocks', 'x', {
    code: `#include <linux/mutex.h>
static DEFINE_MUTEX(own);
static int pre(struct klp_object *obj) { mutex_lock(&own); mutex_lock(&own); return 0; }
${body('')}`,
    callbacks: { vmlinux: '.callbacks = { .pre_patch = pre }' },
  });
  const plan = onlyBoot('load');
  const quick = plan.boots.map((boot) => ({
    ...boot,
    kernelArguments: ['sysctl.kernel.hung_task_timeout_secs=5', 'sysctl.kernel.hung_task_panic=1'],
  }));
  const { failed, result } = await proveModule(deadlocks, { test: script, plan: { ...plan, boots: quick } });
  assert.match(failed['under-load'] ?? '', /hung_task/);
  assert.match(result.boots[0]?.console ?? '', /pre\+.*\[deadlocks\]/);
});

test('a patch that crashes only when its module is loaded late', async () => {
  const late = {
    name: 'late_crash',
    code: `static int pre(struct klp_object *obj) { if (system_state == SYSTEM_RUNNING && enabled) *(volatile int *)8 = 1; return 0; }
static int loaded_first(struct klp_object *obj) { enabled = true; return 0; }`,
    functions: { vmlinux: { cmdline_proc_show: 'new_cmdline_proc_show' }, dummy: { dummy_setup: 'new_dummy_setup' } },
    callbacks: { vmlinux: '.callbacks = { .pre_patch = loaded_first }', dummy: '.callbacks = { .pre_patch = pre }' },
  };
  const code = `static bool enabled;\nstruct net_device;\nstatic void new_dummy_setup(struct net_device *dev) { }\n${late.code}\n${body('')}`;
  const { failed } = await proveModule({ ...late, code }, { plan: onlyBoot('order'), targetModules: ['dummy'] });
  assert.match(failed['late-modules'] ?? '', /panicked/);
});

test('a patch that breaks only on upgrade', async () => {
  // It is fine alone; over another patch its callback refuses.
  const successor = cmdlinePatch('second', 'x', {
    replace: true,
    code: `static int pre(struct klp_object *obj) { return find_module_named("first_patch") ? -EBUSY : 0; }\n${body('')}`,
    callbacks: { vmlinux: '.callbacks = { .pre_patch = pre }' },
  });
  const finder = `#include <linux/fs.h>
static bool find_module_named(const char *name) { struct file *f = filp_open("/sys/module/first_patch", O_RDONLY, 0); if (IS_ERR(f)) return false; filp_close(f, NULL); return true; }`;
  const { failed } = await proveModule(
    { ...successor, code: `${finder}\n${successor.code}` },
    { test: script, plan: onlyBoot('order'), predecessors: [cmdlinePatch('first_patch', 'one', { replace: true })] },
  );
  assert.match(failed.upgrade ?? '', /refuses/);
});

test('a patch that WARNs only under load', async () => {
  const warns = cmdlinePatch('warns_busy', 'x', {
    code: `#include <linux/atomic.h>\nstatic atomic_t calls;\n${body('WARN_ON_ONCE(atomic_inc_return(&calls) > 6);')}`,
  });
  const { failed } = await proveModule(warns, { test: script, plan: onlyBoot('load') });
  assert.deepEqual(Object.keys(failed), ['log-clean']);
});

test('a good patch holds in each boot, also over a predecessor', async () => {
  const { failed, result } = await proveModule(cmdlinePatch('second', 'x', { replace: true }), {
    test: script,
    plan: { ...fullPlan, boots: fullPlan.boots.filter(({ id }) => id === 'order' || id === 'load') },
    predecessors: [cmdlinePatch('first_patch', 'one', { replace: true })],
  });
  assert.deepEqual(failed, {});
  assert.equal(result.verdict, 'proven');
});
