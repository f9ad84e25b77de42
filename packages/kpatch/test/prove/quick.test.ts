import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runOk } from '#kpatch/base/run.ts';
import type { UserCheck } from '#kpatch/prove/input/user-check.ts';
import { quickPlan, withUserChecks } from '#kpatch/prove/plans.ts';
import type { ProofEvent } from '#kpatch/prove/run/event.ts';
import { ProofJournal } from '#kpatch/prove/run/journal.ts';
import type { PlanResult } from '#kpatch/prove/run/record.ts';
import { cmdlinePatch } from './livepatch-module.ts';
import { folder, proveModule, subjectOf } from './prove-module.ts';

const good = cmdlinePatch('good', 'patched');
const goodTest = 'cat /proc/uptime; grep patched /proc/cmdline';

/** What must be the same whenever the plan is run. */
function lasting({ verdict, reasons, checks }: PlanResult): object {
  const kept = checks.map(({ ms: _, evidence, ...check }) => {
    return { ...check, evidence: evidence.filter(({ varies }) => varies !== true) };
  });
  return { verdict, reasons, checks: kept };
}

test('a good patch is proven, each claim with its evidence; a second run differs only in what is marked as varying', async () => {
  const { result, events } = await proveModule(good, { test: goodTest });
  assert.equal(result.verdict, 'proven', JSON.stringify(result.checks, null, 1));
  assert.ok(result.checks.every(({ outcome }) => outcome === 'held'));
  const texts = result.checks.flatMap(({ evidence }) => evidence.map(({ text }) => text)).join('\n');
  assert.match(texts, /livepatch lists cmdline_proc_show/);
  assert.match(texts, /ftrace redirects cmdline_proc_show to livepatch/);
  assert.match(texts, /cmdline_proc_show: called once/);
  assert.equal(events[0]?.type, 'plan');
  assert.equal(events.at(-1)?.type, 'verdict');
  const again = (await proveModule(good, { test: goodTest })).result;
  assert.deepEqual(lasting(again), lasting(result));
  assert.notDeepEqual(
    again.checks.map(({ evidence }) => evidence),
    result.checks.map(({ evidence }) => evidence),
  );
});

test('an interrupted proof goes on after the boots that it finished; a proof that ended starts again', async () => {
  const journal = new ProofJournal(join(folder, 'proofs'), 'interrupted');
  const [stock] = quickPlan.boots;
  const ids = ['boots', 'targets', 'loads', 'transition', 'redirected', 'unloads'];
  const checks = stock!.checks.filter(({ id }) => ids.includes(id));
  const boots = ['first', 'second'].map((id) => ({ ...stock!, id, checks }));
  const plan = { ...quickPlan, statics: [], boots };
  const stop = new AbortController();
  const seen: string[] = [];
  const onEvent = (event: ProofEvent): void => {
    if (event.type === 'boot') seen.push(event.boot);
    if (event.type === 'boot' && event.boot === 'second') stop.abort();
  };
  await assert.rejects(proveModule(good, { plan, journal, signal: stop.signal, onEvent }), { code: 'interrupted' });
  assert.deepEqual(seen, ['first', 'second']);
  const { result, events } = await proveModule(good, { plan, journal });
  assert.equal(result.verdict, 'proven');
  assert.deepEqual(
    result.boots.map(({ boot, ran }) => [boot, ran !== undefined]),
    [
      ['first', true],
      ['second', false],
    ],
  );
  const progress = events.flatMap((event) => (event.type === 'progress' ? [event.text] : []));
  assert.match(progress.join('\n'), /done before the interruption, at \d{4}-/);
  assert.equal(journal.finished('first'), undefined);
});

test('a module written by hand tells what it replaces', async () => {
  const { functions, targetModules } = await subjectOf({
    name: 'by_hand',
    code: `struct net_device;
static void new_dummy_setup(struct net_device *dev) { }
static int new_show(struct seq_file *m, void *v) { return 0; }
static int pre(struct klp_object *object) { return 0; }`,
    functions: {
      vmlinux: { cmdline_proc_show: 'new_show', 'version_proc_show,2': 'new_show' },
      dummy: { dummy_setup: 'new_dummy_setup' },
    },
    callbacks: { vmlinux: '.callbacks = { .pre_patch = pre }' },
  });
  assert.deepEqual(functions, [
    { object: 'vmlinux', name: 'cmdline_proc_show', sympos: 0 },
    { object: 'vmlinux', name: 'version_proc_show', sympos: 2 },
    { object: 'dummy', name: 'dummy_setup', sympos: 0 },
  ]);
  assert.deepEqual(targetModules, ['dummy']);
});

test('a test that gives the same result with and without the patch proves nothing', async () => {
  const script = '# expect: before pass, with pass, after pass\ntest -e /proc/cmdline && cat /proc/cmdline';
  const { failed } = await proveModule(cmdlinePatch('shows_nothing', 'x'), { test: script });
  assert.deepEqual(Object.keys(failed), ['test-with']);
  assert.match(failed['test-with']!, /proves nothing/);
});

test('a test brings a program of its own, and modules that nobody patches', async () => {
  writeFileSync(
    join(folder, 'tool.c'),
    `#include <stdio.h>
#include <string.h>
int main(void) { char line[100] = ""; fgets(line, 100, fopen("/proc/cmdline", "r")); printf("tool saw %s", line); return strcmp(line, "patched\\n"); }`,
  );
  await runOk('gcc', ['tool.c', '-o', 'tool'], { cwd: folder });
  // libcrc32c asks for an algorithm by its name, crc32c, which another module has.
  const script = `# needs: module libcrc32c
# needs: file tool
modprobe libcrc32c || { echo no module; exit 9; }
./tool`;
  const { failed, result } = await proveModule(cmdlinePatch('own_tool', 'patched'), { test: script });
  assert.deepEqual(failed, {});
  const seen = result.checks.find(({ check }) => check === 'stock/test-with')?.evidence.map(({ detail }) => detail);
  assert.match(seen?.join('') ?? '', /tool saw patched/);
});

test('a patch that never reaches its new code is found by counting calls', async () => {
  // The test passes for a reason of its own: the phase that it is told.
  const script = 'test $KPATCH_PHASE = with';
  const { failed } = await proveModule(cmdlinePatch('unreached', 'x'), { test: script });
  assert.deepEqual(Object.keys(failed), ['reached']);
});

test('a patch that cannot be unloaded is found', async () => {
  const { failed } = await proveModule(
    cmdlinePatch('stays', 'x', { init: '__module_get(THIS_MODULE); return klp_enable_patch(&patch);' }),
    {},
  );
  assert.match(failed.unloads ?? '', /cannot be removed/);
});

test('a patch that makes the kernel complain is found by its log', async () => {
  const warns = cmdlinePatch('warns', 'x', {
    code: 'static int new_cmdline_proc_show(struct seq_file *m, void *v) { WARN_ON(1); seq_puts(m, "x\\n"); return 0; }',
  });
  const { failed, result } = await proveModule(warns, { test: 'grep x$ /proc/cmdline' });
  assert.deepEqual(Object.keys(failed), ['log-clean']);
  const log = result.checks.find(({ check }) => check.endsWith('log-clean'));
  assert.match(log?.evidence.at(-1)?.detail ?? '', /new_cmdline_proc_show/);
});

test('a patch that takes the kernel down is not proven, with the console as evidence', async () => {
  const crashes = cmdlinePatch('crashes', 'x', {
    code: 'static int new_cmdline_proc_show(struct seq_file *m, void *v) { *(volatile int *)8 = 1; return 0; }',
  });
  const { failed, result } = await proveModule(crashes, { test: 'cat /proc/cmdline' });
  assert.match(failed['test-with'] ?? '', /panicked/);
  assert.match(result.boots[0]?.console ?? '', /NULL pointer dereference/);
  assert.equal(result.checks.at(-1)?.outcome, 'not run');
});

test('a patch of a second function of a name that there is only once: the kernel refuses it', async () => {
  const wrong = cmdlinePatch('wrong_one', 'patched', {
    functions: { vmlinux: { 'cmdline_proc_show,2': 'new_cmdline_proc_show' } },
  });
  const { failed } = await proveModule(wrong, { test: 'grep patched /proc/cmdline' });
  assert.match(failed.loads ?? '', /refuses/);
});

test('checks of the user are run with the patch loaded; what they throw is their own finding', async () => {
  const sees: UserCheck['check'] = {
    id: 'mine',
    title: 'the text is there',
    where: 'guest',
    async *run({ sh }) {
      yield { text: (await sh('cat /proc/cmdline')).output };
    },
  };
  const bad: UserCheck['check'] = {
    ...sees,
    id: 'broken',
    // biome-ignore lint/correctness/useYield: it ends before it has seen anything
    async *run() {
      throw new TypeError('it is broken');
    },
  };
  const checks = [sees, bad];
  const userChecks = checks.map((check) => ({ file: `${check.id}.ts`, sha256: 'ab'.repeat(32), check }));
  const plan = withUserChecks(quickPlan, checks);
  const { failed, result } = await proveModule(cmdlinePatch('user', 'patched'), { plan, userChecks });
  assert.deepEqual(failed, { broken: 'it is broken' });
  assert.equal(result.checks.find(({ check }) => check.endsWith('mine'))?.evidence[0]?.text, 'patched\n');
});
