/** Whether a reboot is due, and what follows the answer: needrestart, /run/reboot-required, the metric, the status. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { channelMetricsText } from '#kpatch/channel/follow/metrics.ts';
import { type Reboot, rebootOf } from '#kpatch/channel/follow/reboot.ts';
import { writeState } from '#kpatch/channel/follow/state.ts';
import { fleetStanding, standingText } from '#kpatch/fleet/standing.ts';
import { settleRebootFlag } from '#kpatch/host/reboot-flag.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { FakeMachine, RELEASE } from './fake.ts';

const now = new Date('2026-12-01T12:00:00Z');

/** A machine with an active live patch, whose channel supports its kernel until a day. */
function answerOf(
  until: string | undefined,
  change: { todo?: string[]; looked?: string; problem?: string; patched?: boolean; tainted?: number; into?: null } = {},
): Reboot {
  using machine = new FakeMachine();
  if (change.patched !== false) machine.foreign('lp_1');
  machine.set('proc/sys/kernel/tainted', String(change.tainted ?? 0));
  const kernel = {
    ...{ release: RELEASE, arch: 'x86_64', distribution: 'd', packageVersion: '1', released: '2026-01-01', until },
    ...{ extended: null, rebootInto: change.into === undefined ? '6.1.0-57-amd64' : null, patch: null },
  };
  if (until !== undefined)
    machine.set(
      'var/lib/kpatch/channel/kernels.json',
      JSON.stringify({ schema: 'kpatch.channel-kernels/1', channel: { name: 'c' }, kernels: [kernel] }),
    );
  const { looked = '2026-12-01T10:00:00Z', problem = '' } = change;
  writeState(machine.folder, { newest: 1, looked, problem });
  const status = { ...statusOf(machine), todo: change.todo ?? [] };
  return rebootOf(machine, status, machine.folder, now);
}

test('"not due" needs an active patch, support, a channel that answers, and nothing to do', () => {
  const good = answerOf('2026-12-31');
  assert.deepEqual([good.answer, good.reason.includes('2026-12-31')], ['not due', true]);
  for (const [what, { answer, reason }] of Object.entries({
    'no channel': answerOf(undefined),
    'no patch': answerOf('2026-12-31', { patched: false }),
    'to do': answerOf('2026-12-31', { todo: ['something'] }),
    'channel failed': answerOf('2026-12-31', { problem: 'no network' }),
    'channel old': answerOf('2026-12-31', { looked: '2026-11-20T00:00:00Z' }),
    'ended, no newer kernel': answerOf('2026-11-30', { into: null }),
  })) {
    assert.equal(answer, 'unknown', what);
    assert.match(reason, /\.$|: /, what);
  }
});

test('a reboot is due once support has ended, with or without a patch, and after an oops', () => {
  for (const patched of [true, false]) {
    const { answer, reason } = answerOf('2026-11-30', { patched });
    assert.equal(answer, 'due');
    assert.match(reason, /no live patches since 2026-11-30 .*reboot into 6\.1\.0-57-amd64/);
  }
  assert.equal(answerOf('2026-12-01').answer, 'not due', 'the last day is included');
  assert.equal(answerOf('2026-12-31', { tainted: 128 }).answer, 'due');
});

test('the metric is 1, 0 or absent', () => {
  const text = (answer: Reboot['answer']): string => channelMetricsText(RELEASE, '/none', now, { answer, reason: '' });
  assert.match(text('due'), /^kpatch_reboot_due 1$/m);
  assert.match(text('not due'), /^kpatch_reboot_due 0$/m);
  assert.equal(text('unknown'), '');
});

test('/run/reboot-required: created when due, removed only if kpatch wrote it and nobody else asked since', () => {
  using folder = temporaryFolder('kpatch-test-');
  const run = folder.path;
  const own = join(run, 'kpatch');
  const [file, packages] = [join(run, 'reboot-required'), join(run, 'reboot-required.pkgs')];
  const settle = (due?: string): string => settleRebootFlag(run, own, due);
  assert.equal(settle(), 'kept');
  assert.equal(settle('An oops.'), 'created');
  assert.match(readFileSync(file, 'utf8'), /restart required.*\nkpatch: An oops\.\n$/);
  assert.equal(readFileSync(packages, 'utf8'), 'kpatch\n');
  assert.equal(settle('Another reason.'), 'kept');
  assert.equal(settle(), 'removed');
  assert.deepEqual([existsSync(file), existsSync(packages)], [false, false]);
  // A package asks while the file of kpatch is there.
  settle('An oops.');
  writeFileSync(packages, 'kpatch\nlibc6\n');
  assert.equal(settle(), 'kept');
  assert.ok(existsSync(file));
  assert.equal(settle(), 'kept', 'it is not its own any more');
  // The file of another program.
  writeFileSync(file, '*** System restart required ***\n');
  for (const due of ['An oops.', undefined]) assert.equal(settle(due), 'kept');
  assert.equal(readFileSync(file, 'utf8'), '*** System restart required ***\n');
});

test('needrestart drops its hint about kernels only if kpatch answers "not due"', () => {
  using folder = temporaryFolder('kpatch-test-');
  const kpatch = join(folder.path, 'kpatch');
  const snippet = readFileSync(join(import.meta.dirname, '../../../../packaging/needrestart/kpatch.conf'), 'utf8');
  const hints = (script: string | undefined): string => {
    if (script !== undefined) writeFileSync(kpatch, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    // As needrestart reads it: evaluated, and it gives up if that fails.
    const program = `use strict; our %nrconf = (kernelhints => 1); $? = 7; my $text = do { local $/; <STDIN> }; eval $text; die $@ if $@; print "$nrconf{kernelhints} $?";`;
    const input = snippet.replaceAll('/usr/sbin/kpatch', script === undefined ? '/none' : kpatch);
    const { stdout, stderr } = spawnSync('perl', ['-we', program], { input, encoding: 'utf8' });
    assert.equal(stderr, '');
    return stdout;
  };
  assert.equal(hints('[ "$*" = "status --format {reboot}" ] && echo "not due"; exit 1'), '0 7');
  for (const other of ['echo due', 'echo unknown', 'exit 1', 'echo; echo "not due"', undefined])
    assert.equal(hints(other), '1 7', String(other));
});

test('the fleet in one line: where, last answer, what waits; a damaged file is named', () => {
  using folder = temporaryFolder('kpatch-test-');
  const root = folder.path;
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  assert.equal(fleetStanding(root), undefined);
  put('etc/kpatch/fleet/membership.json', JSON.stringify({ url: 'https://f.example', joined: '2026-11-01T00:00:00Z' }));
  const line = (): string => standingText(fleetStanding(root)!, now);
  assert.equal(line(), 'https://f.example, joined 2026-11-01; the server has not answered yet');
  put('var/lib/kpatch-send/answer.json', '{}');
  const heard = new Date(now.getTime() - 180_000);
  utimesSync(join(root, 'var/lib/kpatch-send/answer.json'), heard, heard);
  for (const counter of [4, 5]) put(`var/lib/kpatch-report/outbox/${counter}.json`, '{}');
  assert.equal(line(), 'https://f.example, joined 2026-11-01; last answer 3 minutes ago; 2 reports waiting');
  for (const text of ['', '[]', 'null', '{"url":7}']) {
    put('etc/kpatch/fleet/membership.json', text);
    assert.match(line(), /^membership cannot be read: /);
  }
});

test('what status loads for the fleet includes no definitions of documents', () => {
  const folder = join(import.meta.dirname, '../../fleet');
  for (const name of ['standing.ts', 'outbox.ts', 'paths.ts'])
    assert.doesNotMatch(readFileSync(join(folder, name), 'utf8'), /from '[^']*(?:documents\/|place\.ts)/);
});
