import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { holdupLine, holdupOf } from '#kpatch/host/live/stall.ts';
import { isHiddenFromStacks, neverLeft, threadMains } from '#kpatch/module/always-on-stack.ts';

const source = `
struct task;
extern struct task *kthread_create_on_node(int (*f)(void *), void *data, int node, const char *name, ...);
extern struct task *wake(struct task *);
extern void queue(int (*f)(void *));
static int worker(void *data) { for (;;) queue(0); }
static int ordinary(void *data) { return data != 0; }
int helper(void *data) { return ordinary(data) + 1; }
struct task *start(void *data) {
  queue(ordinary);
  for (int i = 0; i < 20; i++) { queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); queue(helper);
    queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); queue(helper); }
  return wake(kthread_create_on_node(worker, data, -1, "w/%d", 1));
}
`;

test('the main function of a kernel thread is known by the call that it is passed to, in units and in modules', () => {
  using folder = temporaryFolder('kpatch-test-');
  writeFileSync(join(folder.path, 'unit.c'), source);
  for (const settings of [['-ffunction-sections'], ['-mcmodel=kernel', '-fno-pic']]) {
    const file = join(folder.path, 'unit.o');
    execFileSync('gcc', ['-O2', '-c', ...settings, join(folder.path, 'unit.c'), '-o', file]);
    const object = readObject(readFileSync(file), 'unit.o');
    const names = new Set(['worker', 'ordinary', 'start', 'absent']);
    assert.deepEqual(threadMains(object, names), ['worker'], settings.join(' '));
    assert.deepEqual(threadMains(object, new Set(['ordinary'])), [], settings.join(' '));
  }
});

test('functions that some task never leaves are known by name, in vmlinux only', () => {
  for (const name of ['schedule', '__schedule', 'schedule_timeout', 'do_idle', 'kthread', 'worker_thread'])
    assert.ok(neverLeft('vmlinux', name) !== undefined, name);
  for (const name of ['meminfo_proc_show', 'schedule_work', 'schedule_delayed_work_on', 'reschedule_retry'])
    assert.equal(neverLeft('vmlinux', name), undefined, name);
  assert.equal(neverLeft('some_module', 'schedule'), undefined);
  assert.ok(isHiddenFromStacks('mutex_lock') && isHiddenFromStacks('wait_for_completion'));
  assert.ok(!isHiddenFromStacks('kthread'));
});

test('the stall report says that no stack shows scheduler functions, where the patch replaces one', () => {
  const stack = [{ function: 'worker_thread' }, { function: 'kthread' }];
  const task = { pid: 7, tid: 7, command: 'kworker/0:1', kernelThread: true, state: 'I', stack };
  const patchOf = (name: string) => ({
    name: 'fix',
    objects: [{ name: 'vmlinux', functions: [{ name, position: 1 }] }],
  });
  const line = (name: string): string => holdupLine(holdupOf(task as never, [patchOf(name) as never], new Map(), 3));
  assert.match(line('schedule'), /maybe in schedule, which \/proc\/PID\/stack never shows/);
  assert.match(line('meminfo_proc_show'), /no patched function on its stack/);
});
