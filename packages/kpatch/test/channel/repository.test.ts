/** A channel between publications: windows, damage, pruning, keys, settings and the commands. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { packageNames } from '#kpatch/channel/package/name.ts';
import { checkTree } from '#kpatch/channel/repository/check.ts';
import { layout, readConfig, writeConfig } from '#kpatch/channel/repository/config.ts';
import { exportKeys, secretKey, sign } from '#kpatch/channel/repository/gpg.ts';
import { readKernel, rebootInto, untilOf } from '#kpatch/channel/repository/kernel.ts';
import { prune } from '#kpatch/channel/repository/prune.ts';
import { addKey, retireKey } from '#kpatch/channel/repository/rotate.ts';
import { addMonths, daysBetween, parseDay, stateOn } from '#kpatch/channel/repository/window.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { writeModule } from './module-file.ts';
import { newer, Publisher, problems, running } from './publisher.ts';

gnupgHome();
const key = makeKey('channel <channel@example.org>');

test('windows: months from a day, states, the kernel to reboot into', async () => {
  assert.equal(addMonths('2026-08-31', 6), '2027-02-28');
  assert.equal(addMonths('2026-11-24', 6), '2027-05-24');
  assert.equal(daysBetween('2026-11-24', '2027-01-01'), 38);
  assert.deepEqual(
    ['2027-04-01', '2027-05-01', '2027-05-24', '2027-05-25'].map((today) => stateOn(today, '2027-05-24')),
    ['supported', 'ending', 'ending', 'ended'],
  );
  await provokes('usage', () => parseDay('2026-02-30', '--released'));
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.kernel('6.12.1+deb12-amd64', 0, '6.12.1-1~bpo12+1');
  const kernels = [running, newer, '6.12.1+deb12-amd64'].map((release) => readKernel(publisher.folder, release));
  assert.deepEqual(
    kernels.map((kernel) => rebootInto(kernel, kernels)),
    [newer, null, null],
  );
  assert.equal(
    untilOf({ ...kernels[0]!, extended: { until: '2030-01-01', reason: 'x' } }, publisher.config),
    '2030-01-01',
  );
});

test('check names every kind of damage', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.add({ version: 1 });
  await publisher.publish();
  const { binary } = await exportKeys([key]);
  const copy = join(folder.path, 'mirror');
  const damage = async (change: (tree: string) => void, expected: RegExp, now = new Date()): Promise<void> => {
    rmSync(copy, { recursive: true, force: true });
    spawnSync('cp', ['-rL', `${layout(publisher.folder).public}/.`, copy]);
    change(copy);
    const found = (await checkTree(copy, binary, now)).problems.join('\n');
    assert.match(found, expected);
  };
  const edit = (tree: string, file: string, change: (text: string) => string): void =>
    writeFileSync(join(tree, file), change(readFileSync(join(tree, file), 'latin1')), 'latin1');
  const flip = (text: string): string =>
    `${text.slice(0, -20)}${String.fromCharCode(text.charCodeAt(text.length - 20) ^ 1)}${text.slice(-19)}`;
  const deb = `apt/pool/${packageNames(running).deb}_1-1_amd64.deb`;
  const rpm = `rpm/${packageNames(running).rpm}-1-1.x86_64.rpm`;
  const csaf = `csaf/white/${readFileSync(join(layout(publisher.folder).public, 'csaf/white/index.txt'), 'utf8').split('\n')[0]}`;
  await damage(() => {}, /^$/);
  await damage((tree) => edit(tree, deb, flip), /SHA-256 digest of .*1-1_amd64\.deb differs/);
  await damage((tree) => rmSync(join(tree, deb)), /1-1_amd64\.deb is missing/);
  await damage((tree) => edit(tree, rpm, (text) => text.slice(0, 500)), /rpm has 500 bytes/);
  await damage(
    (tree) => edit(tree, 'apt/dists/live/InRelease', (text) => text.replace('Suite: live', 'Suite: liVe')),
    /InRelease: invalid signature/,
  );
  await damage(
    (tree) =>
      edit(tree, 'apt/dists/live/main/binary-amd64/Packages', (text) => text.replace('Version: 1-1', 'Version: 9-1')),
    /SHA-256 digest of .*Packages differs/,
  );
  await damage(
    (tree) => edit(tree, 'rpm/repodata/repomd.xml', (text) => text.replace('<revision>', '<revision>9')),
    /repomd\.xml\.asc: invalid signature/,
  );
  await damage(
    (tree) => edit(tree, csaf, (text) => text.replace('CVE-2026-1001', 'CVE-2026-1009')),
    /SHA-256 digest of .*csaf.* differs/,
  );
  await damage(
    (tree) => edit(tree, 'kernels.json', (text) => text.replace('"until": "2', '"until": "3')),
    /kernels\.json\.asc: invalid signature/,
  );
  await damage((tree) => rmSync(join(tree, 'index.html')), /index\.html is missing/);
  await damage(() => {}, /expired on/, new Date(Date.now() + 15 * 86_400_000));
  const other = (await exportKeys([makeKey('other <other@example.org>')])).binary;
  assert.match((await checkTree(copy, other, new Date())).problems.join('\n'), /SIGNATURES NOT OK|invalid signature/);
});

test('prune removes old patches and kernels long past their window, and the channel stays whole', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  for (const version of [1, 2, 3]) await publisher.add({ version });
  await publisher.publish();
  const options = { patches: 2, days: 90, now: publisher.now, dryRun: false };
  const would = prune(publisher.folder, publisher.config, { ...options, dryRun: true });
  const pruned = prune(publisher.folder, publisher.config, options);
  assert.deepEqual(would.patches, pruned.patches);
  assert.deepEqual(pruned.patches, [`${running} 0-0`, `${running} 1-1`]);
  assert.equal(pruned.files.length, 5, 'two packages each, and the module');
  await publisher.publish();
  assert.deepEqual(await problems(publisher), []);
  const later = prune(publisher.folder, publisher.config, {
    ...options,
    now: new Date(publisher.now.getTime() + 300 * 86_400_000),
  });
  assert.deepEqual(later.kernels, [running, newer]);
});

test('keys: none, expired, rotated', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await provokes('channel-key', () => secretKey('nobody@example.org'));
  await provokes('channel-key', () => exportKeys(['0'.repeat(40)]));
  await provokes('channel-key', () => sign('x', ['0'.repeat(40)], 'clear'));
  const expired = makeKey('expired <expired@example.org>', '2020-02-01', '--faked-system-time', '20200101T000000');
  await provokes('channel-key', () => secretKey(expired));
  const publisher = await Publisher.make(folder.path, key);
  await publisher.add({ version: 1 });
  const next = makeKey('next <next@example.org>');
  writeConfig(publisher.folder, await addKey(publisher.config, next));
  await publisher.publish();
  assert.deepEqual(await problems(publisher), []);
  await provokes('channel-key', () => retireKey(publisher.folder, publisher.config, 'F'.repeat(40)));
  writeConfig(publisher.folder, await retireKey(publisher.folder, publisher.config, key));
  await publisher.publish();
  assert.deepEqual(publisher.config.keys, [next]);
  const { binary } = await exportKeys([next]);
  const checked = await checkTree(layout(publisher.folder).public, binary, new Date());
  assert.deepEqual(
    checked.problems.filter((problem) => !problem.startsWith('csaf/')),
    [],
    'everything but old advisories is signed by the new key',
  );
  await provokes('channel-key', () => retireKey(publisher.folder, publisher.config, next));
});

test('gpg starts after the second of SOURCE_DATE_EPOCH, as it does not freeze the second in which it starts', async () => {
  await setTimeout(1000 - (Date.now() % 1000));
  const epoch = Math.floor(Date.now() / 1000);
  process.env.SOURCE_DATE_EPOCH = String(epoch);
  try {
    const signature = await sign('x', [key], 'detached');
    assert.ok(Date.now() >= (epoch + 1) * 1000);
    const { stdout } = spawnSync('gpg', ['--batch', '--list-packets'], { input: signature, encoding: 'utf8' });
    assert.equal(/created (\d+)/.exec(stdout)?.[1], String(epoch));
  } finally {
    delete process.env.SOURCE_DATE_EPOCH;
  }
});

test('a damaged configuration or kernel file is named, not believed', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await provokes('channel-none', () => readConfig(folder.path));
  const publisher = await Publisher.make(folder.path, key);
  const file = join(layout(publisher.folder).kernels, `${running}.json`);
  const good = readFileSync(file, 'utf8');
  for (const change of [
    (text: string) => text.replace('kpatch.channel-kernel/1', 'other'),
    (text: string) => text.replace('"released": "2', '"released": "x'),
    (text: string) => text.replace(/"file": "[^"]*deb"/, '"file": "../../x.deb"'),
  ]) {
    writeFileSync(file, change(good));
    await provokes('channel-config', () => readKernel(publisher.folder, running));
  }
  writeFileSync(file, good);
  writeFileSync(layout(publisher.folder).config, JSON.stringify({ ...publisher.config, url: 'http://x/ y' }));
  await provokes('channel-config', () => readConfig(publisher.folder));
});

test('the commands: init to check, wrong usage, and what is already there', () => {
  using folder = temporaryFolder('kpatch-test-');
  const dir = join(folder.path, 'ch');
  const kpatch = (...args: string[]) => spawnSync('bin/kpatch', ['channel', ...args], { encoding: 'utf8' });
  const make = [
    'init',
    dir,
    '--name',
    'cli',
    '--url',
    'https://patches.example.org/live/',
    '--key',
    'channel@example.org',
  ];
  assert.equal(kpatch(...make).status, 0);
  const again = kpatch(...make);
  assert.equal(again.status, 3);
  assert.match(again.stderr, /channel-exists/);
  assert.equal(
    kpatch('init', join(folder.path, 'x'), '--name', 'a b', '--url', 'https://x.org', '--key', key).status,
    2,
  );
  assert.equal(kpatch('init', join(folder.path, 'x'), '--name', 'a', '--url', 'nonsense', '--key', key).status, 2);
  assert.equal(existsSync(join(folder.path, 'x')), false);
  assert.equal(kpatch('kernel', dir, running).status, 2);
  const today = new Date().toISOString().slice(0, 10);
  assert.equal(kpatch('kernel', dir, running, '--released', today).status, 0);
  assert.equal(
    kpatch('kernel', dir, running, '--extend', '2031-01-01', '--reason', 'the cluster cannot reboot').status,
    0,
  );
  const module = writeModule(folder.path, { version: 1 });
  assert.equal(kpatch('add', dir, module, '--withdraw', 'CVE-1').status, 2);
  assert.equal(kpatch('check', dir).status, 1);
  assert.equal(kpatch('add', dir, module).status, 0);
  assert.equal(kpatch('add', dir, module).status, 4);
  const published = kpatch('publish', dir);
  assert.equal(published.status, 0, published.stderr);
  assert.match(published.stdout, /1 kernel, 4 live patch packages/);
  const armored = join(dir, 'public/key.asc');
  assert.equal(kpatch('check', join(dir, 'public'), '--key', armored).status, 0, 'an armored key, as follow takes it');
  for (const verb of ['check', 'publish', 'prune']) assert.equal(kpatch(verb, '/nosuch').status, 2, verb);
  const checked = kpatch('check', dir, '--json');
  assert.equal(checked.status, 0, checked.stdout);
  assert.equal(JSON.parse(checked.stdout).schema, 'kpatch.channel-check/1');
  assert.match(readFileSync(join(dir, 'public/index.html'), 'utf8'), /2031-01-01/);
  assert.equal(kpatch('prune', dir, '--dry-run').status, 0);
});
