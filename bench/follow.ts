/**
 * How long a machine needs to update by TUF from a channel of 50 kernels with 20 patches each (issue: at most 1 s plus network).
 * The repository is a folder, so nothing of it is network; every file is verified as one from the network is.
 */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { update } from '#kpatch/channel/follow/follow.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { followTuf } from '#kpatch/channel/follow/tuf/follow.ts';
import { TufChannel, urlOf } from '../packages/kpatch/test/channel/tuf-channel.ts';

const kernels = Number(process.env.KERNELS ?? 50);
const patches = Number(process.env.PATCHES ?? 20);
const kpatch = join(import.meta.dirname, '../bin/kpatch');

function row(what: string, figure: string, limit: string): void {
  console.log(`${what.padEnd(58)} ${figure.padStart(10)}   ${limit}`);
}

function cves(count: number): string[] {
  return Array.from({ length: count * 3 }, (_, n) => `CVE-2026-${10_000 + n}`);
}

async function seconds(work: () => Promise<unknown>): Promise<string> {
  const start = performance.now();
  await work();
  return `${((performance.now() - start) / 1000).toFixed(2)} s`;
}

using work = temporaryFolder('kpatch-bench-');
const channel = await TufChannel.make(work.path);
channel.kernels.clear();
const releases = Array.from({ length: kernels }, (_, n) => `6.1.0-${n + 1}-amd64`);
for (const release of releases) {
  for (let version = 1; version <= patches; version++) channel.add({ release, version, cves: cves(version) });
}
row(`publish ${kernels} kernels with ${patches} patches each by TUF`, await seconds(() => channel.publish()), '');
const [release = ''] = releases;
const root = join(work.path, 'image');
for (const path of ['boot', 'etc', 'var/lib']) mkdirSync(join(root, path), { recursive: true });
writeFileSync(join(root, 'boot', `vmlinuz-${release}`), '');
const size = statSync(join(channel.tree, 'tuf/1.targets.json')).size;
row('size of the list of targets', `${(size / 1024).toFixed(0)} KB`, '');
row('follow: the first refresh', await seconds(() => followTuf(root, urlOf(channel.tree), channel.rootFile)), '');
writeSettings(root, { mode: 'auto' });
row('update: the first patch', await seconds(() => update(root)), 'at most 1 s');
channel.add({ release, version: patches + 1, cves: cves(patches + 1) });
await channel.publish();
writeSettings(root, { url: urlOf(channel.tree) });
row('update: a new patch, with a new list of targets', await seconds(() => update(root)), 'at most 1 s');
await channel.publish();
writeSettings(root, { url: urlOf(channel.tree) });
const whole = await seconds(async () => {
  const { status, stderr } = await run(kpatch, ['update', '--root', root]);
  // 3: nothing to do.
  if (status !== 3) throw new Error(stderr);
});
row('starting the program (kpatch version)', await seconds(() => run(kpatch, ['version'])), '');
row('kpatch update as a command, nothing new', whole, 'at most 1 s');
