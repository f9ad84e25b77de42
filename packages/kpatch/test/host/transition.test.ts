import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { forceTransition } from '#kpatch/host/live/force.ts';
import { loadedPatch } from '#kpatch/host/live/livepatches.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { holdupLine } from '#kpatch/host/live/stall.ts';
import { parseStack } from '#kpatch/host/live/tasks.ts';
import { currentHoldups } from '#kpatch/host/live/transition.ts';
import { unloadPatch } from '#kpatch/host/live/unload.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, type FakeTask } from './fake.ts';

const report = silentReporter();
const load = (machine: FakeMachine, name: string, options = {}): Promise<unknown> => {
  return loadModule(machine, readModuleFile(machine.module({ name })), options, report);
};
const reader: FakeTask = {
  pid: 4242,
  command: 'read (er) ',
  stack: ['pipe_read+0x12/0x300', 'meminfo_proc_show+0x40/0x500', 'seq_read_iter+0x1/0x2', 'ksys_read+0x1/0x2'],
};

test('a transition that ends is waited for', async () => {
  using machine = new FakeMachine();
  machine.tasks = [{ ...reader, movesAfter: 3000 }];
  await load(machine, 'one');
  assert.ok(machine.now < 70_000, 'it waited longer than needed');
  assert.equal(loadedPatch(machine, 'one')?.enabled, true);
  assert.ok(!machine.acts.some((act) => act.startsWith('SIG')), 'it signalled although the transition went on');
});

test('a stalled transition is explained, signalled after 15 s, taken back after 75 s, and its module removed', async () => {
  using machine = new FakeMachine();
  machine.tasks = [reader, { pid: 77, command: 'kworker/1', kernelThread: true, stack: ['worker_thread+0x1/0x2'] }];
  const start = machine.now;
  const error = await provokes('transition-reverted', () => load(machine, 'one'));
  assert.match(
    error.detail ?? '',
    /read \(er\) {2}\(pid 4242\): in meminfo_proc_show, sleeping, waits for data or space in a pipe; blocking for 7[45] s/,
  );
  assert.match(error.detail ?? '', /kworker\/1 \(kernel thread 77\): no patched function on its stack/);
  assert.ok(machine.now - start >= 75_000 && machine.now - start < 80_000, `${machine.now - start} ms`);
  assert.deepEqual(machine.acts, ['insmod one', 'SIGSTOP 4242', 'SIGCONT 4242', 'enabled=0 one', 'rmmod one']);
  assert.deepEqual(machine.names(), []);
  assert.deepEqual(
    machine.journal.map(({ KPATCH_OUTCOME, KPATCH_PATCH, PRIORITY }) => [KPATCH_OUTCOME, KPATCH_PATCH, PRIORITY]),
    [['reverted', 'one', '3']],
  );
});

test('a task that switches when it is signalled ends the stall', async () => {
  using machine = new FakeMachine();
  machine.tasks = [{ ...reader, movesOnSignal: true }];
  const start = machine.now;
  await load(machine, 'one', { waitMs: 10_000 });
  assert.ok(machine.now - start < 3000, 'with --wait 10 it signals after 2 s');
});

test('with --leave the transition runs on, and a second load waits for it', async () => {
  using machine = new FakeMachine();
  machine.tasks = [reader];
  await provokes('transition-left', () => load(machine, 'one', { onStall: 'leave', waitMs: 1000 }));
  assert.equal(loadedPatch(machine, 'one')?.transition, true);
  const { progress, holdups } = currentHoldups(machine, 'one');
  assert.deepEqual(progress, { total: 2, done: 1 });
  assert.match(holdupLine(holdups[0]!), /meminfo_proc_show/);
  machine.tasks = [];
  await load(machine, 'one');
  assert.equal(loadedPatch(machine, 'one')?.transition, false);
});

test('unloading turns a transition round that is half-way', async () => {
  using machine = new FakeMachine();
  machine.tasks = [reader];
  await provokes('transition-left', () => load(machine, 'one', { onStall: 'leave', waitMs: 1000 }));
  await unloadPatch(machine, 'one', {}, report);
  assert.deepEqual(machine.names(), []);
  assert.equal(machine.acts.at(-1), 'rmmod one');
});

test('a patch that cannot be switched off stays active', async () => {
  using machine = new FakeMachine();
  await load(machine, 'one');
  machine.tasks = [{ ...reader, stack: ['schedule_timeout+0x1/0x2', 'livepatch_show+0x1/0x2 [one]'] }];
  const error = await provokes('unload-reverted', () => unloadPatch(machine, 'one', { waitMs: 5000 }, report));
  assert.match(error.detail ?? '', /in livepatch_show, sleeping, waits for a timer/);
  assert.equal(loadedPatch(machine, 'one')?.enabled, true);
  assert.equal(loadedPatch(machine, 'one')?.transition, false);
});

test('a half-way disabling found at the start is waited for', async () => {
  using machine = new FakeMachine();
  await load(machine, 'one');
  machine.tasks = [reader];
  await provokes('transition-left', () => unloadPatch(machine, 'one', { onStall: 'leave', waitMs: 500 }, report));
  machine.tasks = [];
  await unloadPatch(machine, 'one', {}, report);
  assert.deepEqual(machine.names(), []);
});

test('what is not loaded cannot be unloaded', async () => {
  using machine = new FakeMachine();
  await provokes('not-loaded', () => unloadPatch(machine, 'one', {}, report));
});

test('a module that the kernel does not let go', async () => {
  using machine = new FakeMachine();
  await load(machine, 'one');
  machine.control.rmmod = async () => ({ ok: false, message: 'rmmod: ERROR: Module one is in use' });
  await provokes('unload-refused', () => unloadPatch(machine, 'one', {}, report));
});

test('a module stays while a task is in a function of it that the kernel does not look for', async () => {
  using machine = new FakeMachine();
  await load(machine, 'one');
  machine.tasks = [{ ...reader, unseen: true, stack: ['schedule_timeout+0x1/0x2', 'deeper+0x1/0x2 [one]'] }];
  const error = await provokes('unload-refused', () => unloadPatch(machine, 'one', {}, report));
  assert.match(error.message, /\(pid 4242\) is still in its function deeper/);
  assert.ok(!machine.acts.includes('rmmod one'));
  rmSync(join(machine.proc, '4242'), { recursive: true });
  await unloadPatch(machine, 'one', {}, report);
  assert.deepEqual(machine.names(), []);
});

test('a busy kernel is tried five times', async () => {
  using machine = new FakeMachine();
  machine.refusals = Array.from({ length: 4 }, () => 'Device or resource busy');
  await load(machine, 'one');
  assert.equal(machine.acts.filter((act) => act === 'insmod one').length, 5);
  machine.refusals = Array.from({ length: 5 }, () => 'Device or resource busy');
  await provokes('load-busy', () => load(machine, 'two'));
});

test('a refusal of the kernel comes with its log', async () => {
  using machine = new FakeMachine();
  machine.refusals = ['Invalid parameters'];
  const error = await provokes('load-failed', () => load(machine, 'one'));
  assert.match(error.message, /Invalid parameters/);
  assert.match(error.detail ?? '', /kernel log of one/);
  assert.deepEqual(machine.names(), []);
});

test('forcing ends a transition only when it was confirmed', async () => {
  using machine = new FakeMachine();
  await provokes('no-transition', () => forceTransition(machine, async () => true));
  machine.tasks = [reader];
  await provokes('transition-left', () => load(machine, 'one', { onStall: 'leave', waitMs: 1000 }));
  await provokes('not-confirmed', () => forceTransition(machine, async () => false));
  machine.isRoot = false;
  await provokes('not-root', () => forceTransition(machine, async () => true));
  machine.isRoot = true;
  const { write } = machine.control;
  machine.control.write = () => ({ ok: false, message: 'EINVAL' });
  await provokes('force-refused', () => forceTransition(machine, async () => true));
  machine.control.write = write;
  const { progress, holdups } = await forceTransition(machine, async (name) => name === 'one');
  assert.deepEqual([progress.total - progress.done, holdups.length], [1, 1]);
  assert.equal(loadedPatch(machine, 'one')?.transition, false);
  assert.equal(machine.journal.at(-1)?.KPATCH_OUTCOME, 'forced');
});

test('a patched function is known on a stack under its other names', async () => {
  using machine = new FakeMachine();
  machine.set(
    'proc/kallsyms',
    'ffffffff81000010 t other\nffffffff81000020 T meminfo_proc_show\nffffffff81000020 t __alias\n',
  );
  machine.tasks = [{ ...reader, stack: ['__alias+0x1/0x2', 'other+0x1/0x2'] }];
  const error = await provokes('transition-reverted', () => load(machine, 'one', { waitMs: 1000 }));
  assert.match(error.detail ?? '', /: in meminfo_proc_show, sleeping/);
});

test('stacks of the kernel', () => {
  const text =
    '[<0>] a.isra.0+0x1/0x20\n[<0>] b+0x1/0x2 [nfs]\n[<0>] 0xffffffff81000000\ngarbage\n[<0>] c+0x0/0x1 [m 1234]';
  assert.deepEqual(parseStack(text), [
    { function: 'a.isra.0', module: undefined },
    { function: 'b', module: 'nfs' },
    { function: 'c', module: 'm' },
  ]);
});
