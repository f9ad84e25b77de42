/** Patches that are bad on purpose, each caught by the check that was made for it. Each runs only the boot it is about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownProgram } from '#kpatch/prove/input/own-program.ts';
import { fullPlan } from '#kpatch/prove/plans.ts';
import type { Plan } from '#kpatch/prove/run/check.ts';
import { cmdlinePatch, type HandMade } from './livepatch-module.ts';
import { proveModule } from './prove-module.ts';

const onlyBoot = (id: string): Plan => ({ ...fullPlan, boots: fullPlan.boots.filter((boot) => boot.id === id) });
const body = (statements: string): string =>
  `static int new_cmdline_proc_show(struct seq_file *m, void *v) { ${statements} seq_puts(m, "x\\n"); return 0; }`;
/** Every check runs it where its files lie. */
const script = 'test $(pwd) = /root && grep x$ /proc/cmdline';

/** The boot that looks for memory errors, with what a check of it needs. */
function onlyMemory(...ids: string[]): Plan {
  const ground = ['boots', 'test-before', 'loads', 'transition', 'test-with', 'reached', 'unloads', 'log-clean'];
  const [boot] = onlyBoot('debug').boots;
  return {
    ...fullPlan,
    boots: [{ ...boot!, checks: boot!.checks.filter(({ id }) => [...ground, ...ids].includes(id)) }],
  };
}

test('a patch that leaks memory on each call, and when it is loaded', async () => {
  const leaks = cmdlinePatch('leaks', 'x', {
    code: `void *volatile kept;
static int pre(struct klp_object *obj) { kept = kmalloc(40, GFP_KERNEL); return 0; }
${body('kept = kmalloc(100, GFP_KERNEL);')}`,
    callbacks: { vmlinux: '.callbacks = { .pre_patch = pre }' },
  });
  const { failed, result } = await proveModule(leaks, { test: script, plan: onlyBoot('debug') });
  assert.deepEqual(Object.keys(failed), ['no-leak', 'nothing-left'], JSON.stringify(failed));
  assert.match(failed['no-leak']!, /new_cmdline_proc_show \[leaks\] is not freed/);
  assert.match(failed['nothing-left']!, /a module that is gone is not freed by unloading/);
  const held = result.checks.filter(({ outcome }) => outcome === 'held').map(({ check }) => check);
  for (const check of ['reached', 'neighbours', 'log-clean'])
    assert.ok(held.includes(`debug/${check}`), `the leak must not hide ${check}`);
});

test('a patch that leaks pages, and what the kernel allocates for it', async () => {
  const opens = cmdlinePatch('opens', 'x', {
    code: `#include <linux/fs.h>\nvoid *volatile kept;\n${body(
      'kept = filp_open("/proc/uptime", O_RDONLY, 0); kept = alloc_page(GFP_KERNEL);',
    )}`,
  });
  const { failed, result } = await proveModule(opens, { test: script, plan: onlyMemory('no-leak') });
  assert.deepEqual(Object.keys(failed), ['no-leak'], JSON.stringify(failed));
  assert.match(failed['no-leak']!, /for new_cmdline_proc_show \[opens\] is not freed/);
  const detail = result.checks.find(({ check }) => check === 'debug/no-leak')?.evidence.at(-1)?.detail ?? '';
  assert.match(detail, /__alloc_file.*: [56]\d more/);
  assert.match(detail, /filp_open/);
  assert.match(detail, /^pages of no account: \d\d+ more$/m);
});

test('what the test itself leaves behind, with and without the patch, is no leak of the patch', async () => {
  const { failed, result } = await proveModule(cmdlinePatch('no_leak', 'x'), {
    test: `mktemp /tmp/left.XXXXXX; ${script}`,
    plan: onlyMemory('no-leak'),
  });
  assert.deepEqual(failed, {});
  const seen = result.checks.find(({ check }) => check === 'debug/no-leak')?.evidence.map(({ text }) => text);
  assert.equal(seen?.at(-1), 'some call sites grow with both versions');
});

test('a patch that scribbles on a neighbour', async () => {
  const scribbles = cmdlinePatch('scribbles', 'x', {
    code: body(
      'volatile char *p = kmalloc(64, GFP_KERNEL); if (p) { ((volatile char *)p)[64 + (m == NULL)] = 7; kfree((void *)p); }',
    ),
  });
  const { failed } = await proveModule(scribbles, { test: script, plan: onlyMemory('neighbours') });
  assert.match(failed.neighbours ?? '', /beyond its end/);
  assert.ok(
    Object.keys(failed).every((check) => ['neighbours', 'log-clean'].includes(check)),
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
  const { failed } = await proveModule({ ...late, code }, { plan: onlyBoot('order') });
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
  assert.deepEqual(Object.keys(failed), ['log-clean'], JSON.stringify(failed));
});

/** The callback looks for something that only a running system has: the author's test makes it before the patch comes. */
const wantsRunningSystem = (name: string, otherwise: string): HandMade =>
  cmdlinePatch(name, 'x', {
    code: `#include <linux/fs.h>
static int pre(struct klp_object *obj) { struct file *f = filp_open("/run/ready", O_RDONLY, 0); if (IS_ERR(f)) ${otherwise}; filp_close(f, NULL); return 0; }
${body('')}`,
    callbacks: { vmlinux: '.callbacks = { .pre_patch = pre }' },
  });
const makesReady = `mkdir -p /run/ready; ${script}`;
const bootPath: Plan = { ...fullPlan, boots: fullPlan.boots.filter(({ system }) => system !== undefined) };

test('a patch that loads by hand, but not at boot', async () => {
  const module = wantsRunningSystem('by_hand', 'return -ENODEV');
  const { failed, result } = await proveModule(module, { test: makesReady, plan: bootPath, program: ownProgram() });
  assert.deepEqual(Object.keys(failed), ['reboot/applied', 'reboot/log-clean'], JSON.stringify(failed));
  assert.match(failed['reboot/applied']!, /kpatch load --all --boot' exited with status 1/);
  const applied = result.checks.find(({ check }) => check === 'reboot/applied');
  assert.match(applied?.evidence.at(-1)?.detail ?? '', /by_hand(.|\n)*No such device/);
  assert.ok(result.checks.some(({ check, outcome }) => check === 'install/installs' && outcome === 'held'));
});

test('a patch that takes the kernel down at boot', async () => {
  const module = wantsRunningSystem('no_boot', 'panic("no_boot: nothing is ready")');
  const { failed, result } = await proveModule(module, { test: makesReady, plan: bootPath, program: ownProgram() });
  assert.deepEqual(Object.keys(failed), ['reboot/applied'], JSON.stringify(failed));
  assert.match(failed['reboot/applied']!, /panicked: no_boot: nothing is ready/);
  assert.match(result.boots.at(-1)?.console ?? '', /at boot: kpatch load --all --boot/);
});

test('what is not installed is not rebooted with', async () => {
  const refused = cmdlinePatch('refused', 'x', { init: 'return -EINVAL;' });
  const { failed, result } = await proveModule(refused, { plan: bootPath, program: ownProgram() });
  assert.deepEqual(Object.keys(failed), ['install/installs'], JSON.stringify(failed));
  const rest = result.checks.filter(({ boot }) => boot === 'reboot');
  assert.ok(
    rest.length > 0 &&
      rest.every(({ outcome, reason }) => `${outcome}: ${reason}` === 'not run: the patch was not installed'),
  );
});

// The boots of a whole system hold for a good patch in kinds.test.ts.
test('a good patch holds over a predecessor and under load', async () => {
  const { failed, result } = await proveModule(cmdlinePatch('second', 'x', { replace: true }), {
    test: script,
    plan: { ...fullPlan, boots: fullPlan.boots.filter(({ id }) => ['order', 'load'].includes(id)) },
    predecessors: [cmdlinePatch('first_patch', 'one', { replace: true })],
  });
  assert.deepEqual(failed, {});
  assert.equal(result.verdict, 'proven');
});
