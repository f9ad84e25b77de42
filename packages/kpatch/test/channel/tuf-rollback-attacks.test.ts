/** Attacks that serve what was genuine once: rollback, freeze, mix-and-match, fast-forward (TUF specification, section 1.5.2). */
import assert from 'node:assert/strict';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { object } from '#kpatch/base/plain.ts';
import { status, update } from '#kpatch/channel/follow/follow.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { followTuf } from '#kpatch/channel/follow/tuf/follow.ts';
import { refresh } from '#kpatch/channel/follow/tuf/refresh.ts';
import { folderSource } from '#kpatch/channel/follow/tuf/source.ts';
import { stateFolder } from '#kpatch/channel/follow/tuf/state.ts';
import { ownMember } from '#kpatch/channel/tuf/document.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { atClock } from './at-clock.ts';
import { moduleName } from './module-file.ts';
import { running } from './publisher.ts';
import { resign, urlOf } from './tuf-channel.ts';
import { newest, patches, relist, renumber, scene } from './tuf-scene.ts';

attack({ area: 'tuf', attacker: 'mirror', how: 'rollback: an older timestamp that was genuine' }, async () => {
  using given = await scene();
  const old = given.channel.copy();
  await given.follow();
  return await given.refuses('tuf-rollback', old);
});

attack(
  { area: 'tuf', attacker: 'channel key', how: 'rollback: a new timestamp that names an older snapshot' },
  async () => {
    using given = await scene();
    const old = given.channel.copy();
    await given.follow();
    await renumber(old, given.channel, 'timestamp', 9);
    return await given.refuses('tuf-rollback', old);
  },
);

attack({ area: 'tuf', attacker: 'channel key', how: 'rollback: a new snapshot that names older targets' }, async () => {
  using given = await scene();
  given.channel.add({ version: 2 }, undefined);
  const first = given.channel.copy();
  const evil = given.channel.copy(await given.channel.publish());
  // The machine sees targets 2 and keeps version 1 of the patch only because the store is looked at here alone.
  await refresh(stateFolder(given.root), folderSource(given.channel.tree));
  copyFileSync(newest(first, 'targets'), join(evil, 'tuf/1.targets.json'));
  rmSync(join(evil, 'tuf/2.targets.json'), { force: true });
  await renumber(evil, given.channel, 'snapshot', 3);
  copyFileSync(newest(evil, 'snapshot'), join(evil, 'tuf/3.snapshot.json'));
  await renumber(evil, given.channel, 'timestamp', 3);
  await relist(evil, given.channel);
  return await given.refuses('tuf-rollback', evil);
});

attack(
  { area: 'tuf', attacker: 'mirror', how: 'rollback by following the channel again with the same root' },
  async () => {
    using given = await scene();
    const old = given.channel.copy();
    await given.follow();
    return await provokes('tuf-rollback', () => followTuf(given.root, urlOf(old), given.channel.rootFile));
  },
);

attack(
  { area: 'tuf', attacker: 'mirror', how: 'freeze: the last publication for ever, after it expired' },
  async () => {
    using given = await scene();
    given.channel.now = new Date(Date.now() - 30 * 86_400_000);
    given.channel.add({ version: 2 });
    const error = await given.refuses('channel-frozen', await given.channel.publish());
    assert.match(error.message, /expired/);
    return error;
  },
);

attack({ area: 'tuf', attacker: 'mirror', how: 'freeze: a root that expired' }, async () => {
  using given = await scene();
  await given.channel.root({}, { days: 1, now: new Date(Date.now() - 3 * 86_400_000) });
  given.channel.now = new Date(Date.now() - 2.5 * 86_400_000);
  given.channel.add({ version: 2 });
  const error = await given.refuses('channel-frozen', await given.channel.publish());
  assert.match(error.message, /root metadata has expired/);
  return error;
});

attack(
  { area: 'tuf', attacker: 'mirror', how: 'freeze: the clock is set back to before the publication expired' },
  async () => {
    using given = await scene();
    const frozen = given.channel.copy();
    const day = 86_400_000;
    const start = Date.now();
    await atClock(start + 30 * day, () => given.refuses('channel-frozen', frozen));
    // Within the validity of the publication, as the wrong clock has it.
    const error = await given.refuses('channel-frozen', frozen);
    assert.match(error.message, /timestamp metadata has expired; the clock of this machine is behind/);
    assert.match((await status(given.root)).problems.join(), /the clock is wrong: it is at least/);
    await atClock(start + 1000 * day, () => given.refuses('channel-frozen', frozen));
    // A clock that was wrong once, however far ahead, does not stop the channel: the next publication counts.
    given.channel.add({ version: 2 });
    given.channel.now = new Date(start + day);
    const tree = await given.channel.publish();
    writeSettings(given.root, { url: urlOf(tree) });
    await atClock(start + day, () => update(given.root));
    assert.deepEqual(patches(given.root), [moduleName(running, 2)]);
    return error;
  },
);

attack(
  { area: 'tuf', attacker: 'mirror', how: 'freeze: a root that had expired when the timestamp was published' },
  async () => {
    using given = await scene();
    const day = 86_400_000;
    const start = Date.now();
    await given.channel.root({}, { days: 1, now: new Date(start - 3 * day) });
    given.channel.now = new Date(start - 2.5 * day);
    given.channel.add({ version: 2 });
    const tree = given.channel.copy(await given.channel.publish());
    const publish = (signed: Record<string, unknown>): void => {
      signed[ownMember] = { ...object(signed[ownMember]), published: new Date(start).toISOString() };
    };
    await resign(newest(tree, 'timestamp'), 'timestamp', publish, [given.channel.key('timestamp')]);
    // A machine that remembers nothing of time, and whose clock is behind.
    rmSync(join(stateFolder(given.root), 'client.json'));
    const error = await atClock(start - 2.4 * day, () => given.refuses('channel-frozen', tree));
    assert.match(error.message, /root metadata has expired; the clock of this machine is behind/);
    return error;
  },
);

attack(
  { area: 'tuf', attacker: 'mirror', how: 'mix-and-match: the timestamp of one publication, the snapshot of another' },
  async () => {
    using given = await scene();
    const old = given.channel.copy();
    const mixed = await given.second();
    copyFileSync(newest(old, 'snapshot'), newest(mixed, 'snapshot'));
    return await given.refuses('tuf-inconsistent', mixed);
  },
);

attack({ area: 'tuf', attacker: 'mirror', how: 'mix-and-match: the targets of another publication' }, async () => {
  using given = await scene();
  const old = given.channel.copy();
  const mixed = await given.second();
  copyFileSync(newest(old, 'targets'), newest(mixed, 'targets'));
  return await given.refuses('tuf-inconsistent', mixed);
});

attack(
  {
    area: 'tuf',
    attacker: 'channel key',
    how: 'fast-forward: a leaked timestamp key with the highest version, so that nothing new counts',
  },
  async () => {
    using given = await scene();
    const { channel } = given;
    const evil = channel.copy();
    await renumber(evil, channel, 'timestamp', 2 ** 31 - 1);
    writeSettings(given.root, { url: urlOf(evil) });
    await update(given.root);
    channel.add({ version: 2 });
    const refusal = await given.refuses('tuf-rollback', await channel.publish());
    // The owner recovers with a new root.
    await given.rotate('timestamp');
    await given.follow();
    assert.deepEqual(patches(given.root), [moduleName(running, 2)]);
    return `${refusal.code}, until the owner publishes a root with another key, which recovers`;
  },
);

attack(
  {
    area: 'tuf',
    attacker: 'channel key',
    how: 'fast-forward: a leaked snapshot key with high versions of snapshot and targets',
  },
  async () => {
    using given = await scene();
    const { channel } = given;
    const evil = channel.copy();
    await renumber(evil, channel, 'targets', 900);
    copyFileSync(newest(evil, 'targets'), join(evil, 'tuf/900.targets.json'));
    await renumber(evil, channel, 'snapshot', 800);
    copyFileSync(newest(evil, 'snapshot'), join(evil, 'tuf/800.snapshot.json'));
    await renumber(evil, channel, 'timestamp', 700);
    await relist(evil, channel);
    writeSettings(given.root, { url: urlOf(evil) });
    await update(given.root);
    channel.add({ version: 2 });
    const refusal = await given.refuses('tuf-rollback', await channel.publish());
    await given.rotate('snapshot', 'targets');
    await given.follow();
    assert.deepEqual(patches(given.root), [moduleName(running, 2)]);
    return `${refusal.code}, until the owner publishes a root with other keys, which recovers`;
  },
);

attack({ area: 'tuf', attacker: 'mirror', how: 'a root of an older version in the place of the next' }, async () => {
  using given = await scene();
  const evil = given.channel.copy();
  copyFileSync(join(evil, 'tuf/1.root.json'), join(evil, 'tuf/2.root.json'));
  return await given.refuses('tuf-rollback', evil);
});
