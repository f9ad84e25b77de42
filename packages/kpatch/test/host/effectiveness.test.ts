/** Does the new code run? Lists as real kernels print them, with everything that can sit on a patched function. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { effectSummary, functionEffects } from '#kpatch/host/live/effectiveness.ts';
import { rebootDue } from '#kpatch/host/reboot.ts';
import { FakeMachine } from './fake.ts';

const F = 'meminfo_proc_show';
const PATCH = 'sys/kernel/livepatch/lp_1';
const line = `${F} (1)   I     \ttramp: 0xffffffffc0a2d000 (klp_ftrace_handler+0x0/0x1a0) ->klp_ftrace_handler+0x0/0x1a0\n`;
const probes = (text: string) => ({ 'sys/kernel/debug/kprobes/list': text });

interface Situation {
  readonly what: string;
  /** `enabled_functions`; undefined: it cannot be read. */
  readonly enabled: string | undefined;
  readonly files?: Readonly<Record<string, string>>;
  readonly others?: readonly string[];
  readonly effect: string;
}

const situations: readonly Situation[] = [
  { what: 'the live patch alone', enabled: line, effect: 'runs' },
  {
    what: 'a function tracer beside it',
    enabled: `${F} (2) R I     ->arch_ftrace_ops_list_func+0x0/0x1e0\n`,
    effect: 'runs',
  },
  {
    what: 'three tracers beside it',
    enabled: `${F} (4) R I     ->arch_ftrace_ops_list_func+0x0/0x1e0\n`,
    effect: 'runs',
  },
  {
    what: 'a kprobe at the entry, through ftrace',
    enabled: `${F} (2) R I   \n`,
    files: probes(`ffffffff81234560  k  ${F}+0x0    [FTRACE]\n`),
    effect: 'runs',
  },
  {
    what: 'a kretprobe at the entry',
    enabled: `${F} (2) R I   \n`,
    files: probes(`ffffffff81234560  r  ${F}+0x0    [FTRACE]\n`),
    effect: 'runs',
  },
  {
    what: 'a disabled kprobe',
    enabled: line,
    files: probes(`ffffffff81234560  k  ${F}+0x0    [DISABLED][FTRACE]\n`),
    effect: 'runs',
  },
  {
    what: 'a kprobe inside the old code',
    enabled: line,
    files: probes(`ffffffff81234570  k  ${F}+0x10    [OPTIMIZED]\n`),
    effect: 'runs',
  },
  {
    what: 'a kprobe in another function',
    enabled: line,
    files: probes('ffffffff81234570  k  other+0x10    \n'),
    effect: 'runs',
  },
  {
    what: 'a BPF program (fentry, fexit or fmod_ret)',
    enabled: `${F} (2) R I D   \ttramp: ftrace_regs_caller+0x0/0x65 (call_direct_funcs+0x0/0x20)\n\tdirect-->bpf_trampoline_6442540634+0x0/0xa0\n`,
    effect: 'unknown',
  },
  {
    what: 'a BPF program, as 6.12 writes it',
    enabled: `${F} (2) R I D O M \ttramp: 0xffffffffa0208000 (0x0) ->0x0\n\tdirect-->bpf_trampoline_1+0x0\n`,
    effect: 'unknown',
  },
  {
    what: 'a BPF program and the live patch is not there',
    enabled: `${F} (1)     D   \n\tdirect-->bpf_trampoline_1+0x0\n`,
    effect: 'shadowed',
  },
  {
    what: 'a tracer only',
    enabled: `${F} (1)         \ttramp: 0xffffffffc0a2d000 (function_trace_call+0x0/0x1a0)\n`,
    effect: 'shadowed',
  },
  { what: 'the function is not in the list', enabled: 'other (1)   I     \n', effect: 'shadowed' },
  { what: 'a function of that name in a module', enabled: `${F} [ext4] (1)   I     \n`, effect: 'shadowed' },
  { what: 'two functions of that name', enabled: line + line, effect: 'unknown' },
  { what: 'a longer name', enabled: `${F}_x (1)   I     \n${line}`, effect: 'runs' },
  { what: 'an empty list', enabled: '', effect: 'shadowed' },
  { what: 'the list cannot be read', enabled: undefined, effect: 'unknown' },
  {
    what: 'ftrace is switched off',
    enabled: line,
    files: { 'proc/sys/kernel/ftrace_enabled': '0' },
    effect: 'unknown',
  },
  {
    what: 'the transition has not completed',
    enabled: line,
    files: { [`${PATCH}/transition`]: '1' },
    effect: 'unknown',
  },
  { what: 'another live patch on the function, order not shown', enabled: line, others: [F], effect: 'unknown' },
  {
    what: 'another live patch, enabled before',
    enabled: line,
    others: [F],
    files: { [`${PATCH}/stack_order`]: '2', 'sys/kernel/livepatch/foreign/stack_order': '1' },
    effect: 'runs',
  },
  {
    what: 'another live patch, enabled later',
    enabled: line,
    others: [F],
    files: { [`${PATCH}/stack_order`]: '1', 'sys/kernel/livepatch/foreign/stack_order': '2' },
    effect: 'shadowed',
  },
  {
    what: 'another live patch on another function',
    enabled: `${line}other (1)   I     \n`,
    others: ['other'],
    effect: 'runs',
  },
  {
    what: 'the patched object is not loaded',
    enabled: line,
    files: { [`${PATCH}/vmlinux/patched`]: '0' },
    effect: 'absent',
  },
  {
    what: 'the disabled patch of another tool',
    enabled: line,
    others: [F],
    files: { 'sys/kernel/livepatch/foreign/enabled': '0' },
    effect: 'runs',
  },
  { what: 'the list of kprobes cannot be read', enabled: line, files: probes(''), effect: 'runs' },
  { what: 'lines that no kernel prints', enabled: `\0\n(((\n${F}\n${line}`, effect: 'runs' },
];

function effectIn({ enabled, files = {}, others = [] }: Situation) {
  using machine = new FakeMachine();
  machine.foreign('lp_1', [F]);
  if (others.length > 0) machine.foreign('foreign', others);
  if (enabled === undefined) rmSync(`${machine.folder}/sys/kernel/tracing`, { recursive: true });
  else machine.set('sys/kernel/tracing/enabled_functions', enabled);
  for (const [path, text] of Object.entries(files)) machine.set(path, text);
  return functionEffects(machine).find(({ patch }) => patch === 'lp_1')!;
}

for (const situation of situations) {
  test(`${situation.what}: ${situation.effect}`, () => {
    const { effect, reason } = effectIn(situation);
    assert.equal(effect, situation.effect, reason);
    assert.ok(reason.length > 0);
  });
}

test('a list that cannot be read is unknown, never "runs"; the digest of a summary changes with any effect', () => {
  using machine = new FakeMachine();
  machine.foreign('lp_1', [F]);
  rmSync(`${machine.folder}/sys/kernel/tracing`, { recursive: true });
  const before = functionEffects(machine);
  assert.equal(before[0]!.effect, 'unknown');
  machine.set('sys/kernel/tracing/enabled_functions', line);
  const after = functionEffects(machine);
  assert.notEqual(effectSummary(before).digest, effectSummary(after).digest);
  assert.deepEqual({ ...effectSummary(after), digest: '' }, { works: 1, shadowed: [], unknown: 0, digest: '' });
});

test('a reboot is due after an oops, and not because a newer kernel is installed', () => {
  using machine = new FakeMachine();
  machine.set('proc/sys/kernel/tainted', '32768');
  machine.set('modules/9.9.9-amd64/modules.dep', '');
  assert.equal(rebootDue(machine), undefined);
  machine.set('proc/sys/kernel/tainted', String(32_768 | 128));
  assert.match(rebootDue(machine) ?? '', /oops/);
});
