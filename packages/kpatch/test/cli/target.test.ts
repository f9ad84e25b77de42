import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { targetOf } from '#kpatch/cli/kernel/target.ts';
import type { KernelProvider } from '#kpatch/distro/provider.ts';
import { targetChoice } from '#kpatch/prepare/choice.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');
const report = silentReporter();

/** Knows these releases; the first is the newest. */
function provider(...releases: string[]): KernelProvider {
  return {
    name: 'fake',
    newest: () => Promise.resolve(releases[0]),
    find: (release) => Promise.resolve(releases.includes(release) ? ({ release } as never) : undefined),
    known: () => Promise.resolve(releases),
  };
}

test('the running kernel is the target where it can be patched and its parts can be found', async () => {
  const providers = [provider('9.9.9-new', '9.9.1-here')];
  const here = { release: '9.9.1-here', capable: true };
  assert.deepEqual(await targetChoice({ report, providers }, here), { running: '9.9.1-here', offers: [] });
});

test('another kernel is never picked: the choice says why and lists what there is', async () => {
  const providers = [provider('9.9.9-new')];
  const cannot = await targetChoice({ report, providers }, { release: '9.9.9-new', capable: false });
  assert.equal(cannot.problem, 'the running kernel 9.9.9-new does not support live patching');
  const unknown = await targetChoice({ report, providers }, { release: '9.9.2-own', capable: true });
  assert.match(unknown.problem ?? '', /9\.9\.2-own is neither prepared nor known/);
  assert.ok(unknown.offers.some(({ release, what }) => release === '9.9.9-new' && /newest/.test(what)));
});

test('a build says its target and why before anything else', async () => {
  const notes: string[] = [];
  const noting = { ...report, note: (text: string) => void notes.push(text) };
  const common = { kernelSource: {}, report: noting, json: false };
  assert.equal(await targetOf({ ...common, given: '9.9.9-new' }), '9.9.9-new');
  assert.equal(await targetOf({ ...common, other: 'the custom kernel vmlinux' }), undefined);
  assert.deepEqual(notes, ['target: 9.9.9-new (as given with --kernel)', 'target: the custom kernel vmlinux']);
});

test('options that would have no effect are wrong usage', () => {
  const wrong: [string[], RegExp][] = [
    [['--cve', 'FOO-1'], /--cve 'FOO-1' is not a CVE/],
    [['--withdraw', 'foo'], /--withdraw needs --after/],
  ];
  for (const [args, problem] of wrong) {
    const { status, stderr } = spawnSync(program, ['build', 'x.patch', ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, problem);
  }
});
