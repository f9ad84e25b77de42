/** Attacks on the clock of a machine that follows by apt or dnf, and the rules by themselves. Those on TUF are in tuf-rollback-attacks.test.ts. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { clockProblems, packagesTime, requireFresh, seenWith } from '#kpatch/channel/follow/clock.ts';
import { status, update } from '#kpatch/channel/follow/follow.ts';
import { followPackages } from '#kpatch/channel/follow/packages.ts';
import { readState } from '#kpatch/channel/follow/state.ts';
import { layout } from '#kpatch/channel/repository/config.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { atClock } from './at-clock.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { debianMachine, installKernel, rhelMachine } from './machines.ts';
import { moduleName } from './module-file.ts';
import { Publisher, running } from './publisher.ts';
import { serve } from './server.ts';

gnupgHome();
const key = makeKey('clock <clock@example.org>');
const day = 86_400_000;

for (const [manager, make] of [
  ['apt', debianMachine],
  ['dnf', rhelMachine],
] as const) {
  attack(
    {
      area: 'channel',
      attacker: 'mirror',
      how: `freeze (${manager}): the clock is set back to before the publication expired`,
    },
    async () => {
      using folder = temporaryFolder('kpatch-test-');
      const publisher = await Publisher.make(folder.path, key);
      await publisher.add({ version: 1 });
      await publisher.publish();
      const { validDays } = publisher.config;
      await using server = await serve(layout(publisher.folder).public);
      const machine = await make(folder.path);
      const { root } = machine;
      installKernel(machine, running);
      const keyFile = join(folder.path, 'key.asc');
      copyFileSync(join(layout(publisher.folder).public, 'key.asc'), keyFile);
      await followPackages(root, server.url, keyFile);
      await update(root, [running]);
      const refused = async () => {
        const error = await provokes('channel-frozen', () => update(root));
        assert.deepEqual(
          installedPatches(thisMachine(root), running).map(({ name }) => name),
          [moduleName(running, 1)],
        );
        return error;
      };
      const start = Date.now();
      const late = await atClock(start + (validDays + 1) * day, refused);
      assert.match(late.message, /its metadata expired on/);
      assert.doesNotMatch(late.message, /behind/);
      // Within the validity of the publication, as the wrong clock has it. The package manager by itself accepts it.
      const error = await refused();
      assert.match(error.message, /its metadata expired on .*; the clock of this machine is behind/);
      const { problems } = await status(root);
      assert.match(problems.join(), /the clock is wrong: it is at least/);
      assert.match(problems.join(), /the last publication seen expired on/);
      // A clock that was wrong once, however far ahead, does not stop the channel: the next publication counts.
      await atClock(start + 1000 * day, refused);
      await publisher.add({ version: 2 });
      publisher.now = new Date(Date.now() - 1000);
      await publisher.publish();
      await update(root);
      assert.deepEqual(
        installedPatches(thisMachine(root), running).map(({ name }) => name),
        [moduleName(running, 2)],
      );
      return error;
    },
  );
}

test('expiry is judged by the latest time that a machine can be sure of', async () => {
  const url = 'https://channel.invalid';
  const published = Date.UTC(2026, 0, 10) / 1000;
  const metadata = { published, validUntil: published + (14 * day) / 1000 };
  const at = (days: number): number => published * 1000 + days * day;
  const fresh = { newest: published, looked: '', problem: '', seen: undefined };
  requireFresh(url, metadata, fresh, at(1));
  await provokes('channel-frozen', () => requireFresh(url, metadata, fresh, at(14)));
  // A clock that is behind the newest publication is as if it stood there.
  requireFresh(url, metadata, fresh, at(-3000));
  await provokes('channel-replayed', () => requireFresh(url, { ...metadata, published: published - 1 }, fresh, at(1)));
  const first = { ...fresh, newest: 0 };
  const future = await provokes('channel-frozen', () => requireFresh(url, metadata, first, at(-1)));
  assert.match(future.message, /2026-01-10T00:00:00\.000Z, which is in the future/);
  // What was seen never passes the expiry of what was verified, and never goes back.
  assert.equal(seenWith(fresh, metadata, at(1)), new Date(at(1)).toISOString());
  const seen = seenWith(fresh, metadata, at(5000));
  assert.equal(seen, new Date(at(14)).toISOString());
  assert.equal(seenWith({ ...fresh, seen }, metadata, at(1)), seen);
  assert.equal(seenWith({ ...fresh, seen }, undefined, at(1)), seen);
  assert.equal(seenWith(fresh, { ...metadata, validUntil: 0 }, at(5)), new Date(published * 1000).toISOString());
  await provokes('channel-frozen', () => requireFresh(url, metadata, { ...fresh, seen }, at(1)));
  assert.equal(packagesTime({ ...fresh, seen: 'nonsense' }, at(1)), at(1));
  assert.deepEqual(clockProblems(at(1), at(1) + 60_000), []);
  assert.match(clockProblems(at(1), at(2)).join(), /at least 2026-01-12T00:00:00\.000Z/);
});

test('a state that an earlier version wrote has no remembered time', () => {
  using folder = temporaryFolder('kpatch-test-');
  mkdirSync(join(folder.path, 'var/lib/kpatch'), { recursive: true });
  const old = { schema: 'kpatch.channel-state/1', newest: 1_767_225_600, looked: '2026-01-01T00:00:00Z', problem: '' };
  writeFileSync(join(folder.path, 'var/lib/kpatch/channel.json'), JSON.stringify(old));
  assert.deepEqual(readState(folder.path), {
    newest: 1_767_225_600,
    looked: '2026-01-01T00:00:00Z',
    problem: '',
    seen: undefined,
  });
});
