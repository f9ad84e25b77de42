/** Publications: what is in them, and that each is served whole, whatever happens while it is made. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readDocument } from '#kpatch/advisory/sources.ts';
import { sha256 } from '#kpatch/base/digest.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { packageNames } from '#kpatch/channel/package/name.ts';
import { recordOf } from '#kpatch/channel/package/record.ts';
import { readPatchModule } from '#kpatch/channel/patch-module.ts';
import { checkTree } from '#kpatch/channel/repository/check.ts';
import { layout } from '#kpatch/channel/repository/config.ts';
import { exportKeys } from '#kpatch/channel/repository/gpg.ts';
import { readKernel, writeKernel } from '#kpatch/channel/repository/kernel.ts';
import { publish, servedNumber } from '#kpatch/channel/repository/publish.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { writeModule } from './module-file.ts';
import { newer, Publisher, problems, running } from './publisher.ts';

gnupgHome();
const key = makeKey('channel <channel@example.org>');

test('a publication: packages, indexes, advisories, kernels.json and page, all signed and whole', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.add({ version: 1, cves: ['CVE-2026-1001'] });
  const published = await publisher.publish();
  assert.equal(published.generation, 1);
  assert.deepEqual(await problems(publisher), []);
  const tree = layout(publisher.folder).public;
  const document = JSON.parse(readFileSync(join(tree, 'kernels.json'), 'utf8'));
  assert.deepEqual(
    document.kernels.map(
      (kernel: { release: string; patch: { version: number } | null; rebootInto: string | null }) => [
        kernel.release,
        kernel.patch?.version ?? 0,
        kernel.rebootInto,
      ],
    ),
    [
      [running, 1, newer],
      [newer, 0, null],
    ],
  );
  // Our own reader understands our own advisories.
  const [index] = readFileSync(join(tree, 'csaf/white/index.txt'), 'utf8').split('\n');
  const [advisory] = readDocument(JSON.parse(readFileSync(join(tree, 'csaf/white', index!), 'utf8')), 'f');
  assert.equal(advisory?.id, 'CVE-2026-1001');
  const release = readFileSync(join(tree, 'apt/dists/live/Release'), 'utf8');
  assert.match(release, /^Acquire-By-Hash: yes$/m);
  assert.equal(
    Date.parse(/^Valid-Until: (.*)$/m.exec(release)![1]!) - Date.parse(/^Date: (.*)$/m.exec(release)![1]!),
    14 * 86_400_000,
  );
});

test('publishing again keeps what a slow reader still asks for, and removes what is older', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  const hashes = (): string[] =>
    readdirSync(join(layout(publisher.folder).public, 'apt/dists/live/main/binary-amd64/by-hash/SHA256'));
  await publisher.publish();
  const [first] = hashes();
  for (const version of [1, 2, 3]) {
    await publisher.add({ version, cves: ['CVE-2026-1001'] });
    await publisher.publish();
    assert.equal(hashes().includes(first!), version <= 2, `publication ${version + 1}`);
  }
  const { generations } = layout(publisher.folder);
  assert.deepEqual(readdirSync(generations).sort(), ['2', '2.json', '3', '3.json', '4', '4.json']);
  assert.deepEqual(await problems(publisher), []);
});

test('the same channel at the same time gives the same publication, signatures and all', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key, {}, new Date());
  await publisher.add({ version: 1 });
  process.env.SOURCE_DATE_EPOCH = String(Math.floor(Date.now() / 1000));
  try {
    await publisher.publish();
    const tree = layout(publisher.folder).public;
    const files = (): string[] =>
      readdirSync(tree, { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$|Release/.test(name));
    const before = new Map(files().map((name) => [name, sha256Of(join(tree, name))]));
    rmSync(layout(publisher.folder).generations, { recursive: true });
    rmSync(layout(publisher.folder).csaf, { recursive: true });
    rmSync(tree);
    await publish(publisher.folder, publisher.config, publisher.now, silentReporter());
    const after = new Map(files().map((name) => [name, sha256Of(join(tree, name))]));
    const advisories = (name: string): boolean => name.startsWith('csaf/white/') && name.endsWith('.asc');
    assert.deepEqual(
      [...after].filter(([name]) => !advisories(name)),
      [...before].filter(([name]) => !advisories(name)),
    );
  } finally {
    delete process.env.SOURCE_DATE_EPOCH;
  }
});

function sha256Of(file: string): string {
  return statSync(file).isDirectory() ? '' : sha256(readFileSync(file));
}

test('a publication that fails half-way changes nothing', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.publish();
  const { pool, generations } = layout(publisher.folder);
  await publisher.add({ version: 1 });
  const rpm = join(pool.rpm, `${packageNames(running).rpm}-1-1.x86_64.rpm`);
  copyFileSync(rpm, `${rpm}.away`);
  rmSync(rpm);
  const error = await provokes('channel-damaged', () => publisher.publish());
  assert.match(error.message, /1-1\.x86_64\.rpm/);
  assert.equal(servedNumber(publisher.folder), 1);
  assert.deepEqual(readdirSync(generations).sort(), ['1', '1.json']);
});

test('killed at any moment, the channel serves the old or the new publication, whole', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.publish();
  const { binary } = await exportKeys([key]);
  let completed = 0;
  for (const after of [80, 160, 240, 320, 400, 600]) {
    await publisher.add({ version: after, cves: ['CVE-2026-1001'] });
    const killed = spawnSync('timeout', [
      '-s',
      'KILL',
      String(after / 1000),
      'bin/kpatch',
      'channel',
      'publish',
      publisher.folder,
      '--json',
    ]);
    if (killed.status === 0) completed++;
    const checked = await checkTree(layout(publisher.folder).public, binary, new Date());
    assert.deepEqual(checked.problems, [], `killed after ${after} ms`);
  }
  publisher.now = new Date();
  await publisher.publish();
  assert.deepEqual(await problems(publisher), []);
  const { generations } = layout(publisher.folder);
  assert.ok(
    readdirSync(generations).every((name) => /^\d+(\.json)?$/.test(name)),
    `nothing is left behind (${completed} completed)`,
  );
});

test('killed just before the switch, published again within the same second with other content: whole', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  const { public: served, generations } = layout(publisher.folder);
  publisher.now = new Date(Math.floor(Date.now() / 1000) * 1000 - 60_000);
  await publisher.publish();
  await publisher.add({ version: 1, cves: ['CVE-2026-1001'] });
  const second = publisher.now.getTime() + 10_000;
  publisher.now = new Date(second + 100);
  await publish(publisher.folder, publisher.config, publisher.now, silentReporter());
  // What a kill leaves: the tree is there, `public` still points to the one before.
  rmSync(served);
  symlinkSync('generations/1', served);
  rmSync(join(generations, '2.json'));
  await publisher.add({ version: 2, cves: ['CVE-2026-1001', 'CVE-2026-1002'] });
  publisher.now = new Date(second + 900);
  await publish(publisher.folder, publisher.config, publisher.now, silentReporter());
  assert.deepEqual(await problems(publisher), []);
});

test('a full disk while publishing: said so, and the publication before stays', async (context) => {
  using folder = temporaryFolder('kpatch-test-');
  const mounted = join(folder.path, 'small');
  mkdirSync(mounted);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=700k', 'tmpfs', mounted]).status !== 0) {
    context.diagnostic('no filesystem can be mounted here');
    return;
  }
  try {
    const publisher = await Publisher.make(mounted, key);
    await publisher.publish();
    const before = readFileSync(join(layout(publisher.folder).public, 'kernels.json'));
    const room = spawnSync('df', ['--output=avail', '-B1', mounted], { encoding: 'utf8' }).stdout.split('\n')[1];
    writeFileSync(join(mounted, 'filler'), Buffer.alloc(Math.max(0, Number(room) - 40_000)));
    await provokes('disk-full', () => publisher.publish());
    assert.deepEqual(readFileSync(join(layout(publisher.folder).public, 'kernels.json')), before);
    const { binary } = await exportKeys([key]);
    assert.deepEqual((await checkTree(layout(publisher.folder).public, binary, new Date())).problems, []);
    rmSync(join(mounted, 'filler'));
    await publisher.publish();
    assert.deepEqual(await problems(publisher), []);
  } finally {
    spawnSync('umount', [mounted]);
  }
});

test('the clock must not go back between publications', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.publish();
  await provokes('channel-clock', () =>
    publish(publisher.folder, publisher.config, new Date(publisher.now.getTime() - 5000), silentReporter()),
  );
});

test('a record that names the kernel of another folder is not published', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.add({ version: 1 });
  const kernel = readKernel(publisher.folder, running);
  const foreign = recordOf(readPatchModule(writeModule(folder.path, { release: newer, version: 2 })), 1, new Map());
  writeKernel(publisher.folder, {
    ...kernel,
    patches: [...kernel.patches, { ...kernel.patches.at(-1)!, record: foreign }],
  });
  await provokes('channel-wrong-kernel', () => publisher.publish());
});
