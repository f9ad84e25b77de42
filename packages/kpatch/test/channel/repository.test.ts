import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
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
import { addPatches } from '#kpatch/channel/repository/add.ts';
import { checkChannel, checkTree } from '#kpatch/channel/repository/check.ts';
import { layout, readConfig, writeConfig } from '#kpatch/channel/repository/config.ts';
import { exportKeys, secretKey, sign } from '#kpatch/channel/repository/gpg.ts';
import { readKernel, rebootInto, untilOf, writeKernel } from '#kpatch/channel/repository/kernel.ts';
import { prune } from '#kpatch/channel/repository/prune.ts';
import { publish, servedNumber } from '#kpatch/channel/repository/publish.ts';
import { addKey, retireKey } from '#kpatch/channel/repository/rotate.ts';
import { addMonths, daysBetween, parseDay, stateOn } from '#kpatch/channel/repository/window.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { type Proof, signProof } from '#kpatch/module/proof.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { proofKeyPair, proofOf } from '../host/trust.ts';
import { makeKey as signingKey } from '../module/key.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { writeModule } from './module-file.ts';
import { newer, Publisher, running } from './publisher.ts';

gnupgHome();
const key = makeKey('channel <channel@example.org>');

async function problems(publisher: Publisher, now = new Date()): Promise<readonly string[]> {
  const { keys } = publisher.config;
  const { binary } = await exportKeys(keys);
  return (await checkChannel(publisher.folder, publisher.config, binary, now)).problems;
}

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

test('the rules: each broken one is named, and nothing is added', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.add({ version: 2, cves: ['CVE-2026-1001', 'CVE-2026-1002'] });
  const cves = ['CVE-2026-1001', 'CVE-2026-1002', 'CVE-2026-1003'];
  await provokes('channel-version', () => publisher.add({ version: 1, cves }));
  await provokes('channel-version', () => publisher.add({ version: 2, cves }));
  await provokes('channel-version', () => publisher.add({ version: 2, cves }, { release: 2 }));
  const lost = await provokes('channel-not-cumulative', () => publisher.add({ version: 3, cves: ['CVE-2026-1002'] }));
  assert.match(lost.message, /CVE-2026-1001/);
  await provokes('channel-not-replacing', () => publisher.add({ version: 3, cves, manifest: { replace: false } }));
  // The manifest says another machine than the ELF header.
  await provokes('manifest-damaged', () => publisher.add({ version: 3, cves, manifest: { arch: 'aarch64' } }));
  await provokes('channel-wrong-kernel', () =>
    publisher.add({ version: 3, cves, manifest: { buildId: 'cd'.repeat(20) } }),
  );
  await provokes('channel-kernel-unknown', () => publisher.add({ release: '6.1.0-99-amd64' }));
  assert.equal(readKernel(publisher.folder, running).patches.length, 2);
  await publisher.add(
    { version: 3, cves: ['CVE-2026-1002'] },
    { withdrawn: [{ id: 'CVE-2026-1001', reason: 'it broke suspend' }] },
  );
  await publisher.publish();
  const page = readFileSync(
    join(
      layout(publisher.folder).public,
      'csaf/white',
      `${publisher.now.getUTCFullYear()}`,
      'kpatch-test-6_1_0-56-amd64-3-1.json',
    ),
    'utf8',
  );
  assert.match(page, /it broke suspend/);
  publisher.now = new Date(publisher.now.getTime() + 200 * 86_400_000);
  const over = await provokes('channel-window-over', () => publisher.add({ version: 4, cves }));
  assert.match(over.fix, /--extend/);
});

test('a channel that asks for proof and signature takes nothing without', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  const signing = signingKey(folder.path, 'modules');
  publisher.now = new Date(Date.now() + 60_000); // when the certificates made here are valid
  const [prover, stranger] = [proofKeyPair(folder.path, 'prover'), proofKeyPair(folder.path, 'stranger')];
  const demand = { proof: true, moduleSignature: true };
  publisher.require({ ...demand, proofKeys: [], certificates: ['keys/modules.pem'] }, signing.certificate);
  await provokes('channel-trust-missing', () => publisher.add({ version: 1 }));
  const keys = { proofKeys: ['keys/prover.pub'], certificates: ['keys/modules.pem'] };
  publisher.require({ ...demand, ...keys }, prover.pub, signing.certificate);

  const unsigned = writeModule(folder.path, { release: running, version: 1 });
  const bytes = readFileSync(unsigned);
  const add = (file: string) =>
    addPatches(publisher.folder, publisher.config, [file], {
      release: 1,
      withdrawn: [],
      advisories: new Map(),
      now: publisher.now,
    });
  await provokes('channel-unsigned-module', () => add(unsigned));
  // Twelve zero bytes and the magic string are no signature.
  await provokes('channel-unsigned-module', () => publisher.add({ version: 1, signed: true }));
  writeFileSync(unsigned, await signModule(bytes, signingKey(folder.path, 'other'), 'sha256'));
  await provokes('channel-unsigned-module', () => add(unsigned));

  writeFileSync(unsigned, await signModule(bytes, signing, 'sha256'));
  const kernel = { release: running, image: '0'.repeat(64) };
  const proof = proofOf(unsigned, { kernel });
  const refused = async (document: Proof, expected: RegExp): Promise<void> => {
    writeFileSync(proofPath(unsigned), JSON.stringify(document));
    assert.match((await provokes('channel-unproven', () => add(unsigned))).message, expected);
  };
  await provokes('channel-unproven', () => add(unsigned));
  await refused(proof, /it is not signed/);
  await refused(signProof(proof, stranger.key), /signed by a key that is not trusted here/);
  const signed = signProof(proof, prover.key);
  await refused({ ...signed, plan: 'quick' }, /its signature does not match its content/);
  const open = { ...proof.checks[0]!, outcome: 'not run' } as const;
  await refused(signProof({ ...proof, checks: [open] }, prover.key), /did not pass/);
  await refused(signProof({ ...proof, kernel: { ...kernel, release: newer } }, prover.key), /was made for/);

  writeFileSync(proofPath(unsigned), JSON.stringify(signed));
  await add(unsigned);
  const added = readKernel(publisher.folder, running).patches.at(-1)!;
  assert.equal(added.proven, true);
  assert.equal(added.proofKey, prover.id);
  await publisher.publish();
  // What other keys verified does not count, so a change of keys is noticed.
  publisher.require({ ...demand, ...keys, proofKeys: ['keys/stranger.pub'] }, stranger.pub);
  await provokes('channel-unproven', () => publisher.publish());
  publisher.require({ ...demand, ...keys });
  // A record that was changed behind the channel's back is found when it is published.
  const known = readKernel(publisher.folder, running);
  writeKernel(publisher.folder, { ...known, patches: known.patches.map((patch) => ({ ...patch, proven: false })) });
  await provokes('channel-unproven', () => publisher.publish());
});

test('packages made elsewhere are added as they are, when both hold the same', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  const module = writeModule(folder.path, { version: 1 });
  const out = join(folder.path, 'out');
  const made = spawnSync('bin/kpatch', ['package', module, '-o', out], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  const files = readdirSync(out).map((name) => join(out, name));
  const options = { release: 1, withdrawn: [], advisories: new Map(), now: publisher.now };
  const [added] = await addPatches(publisher.folder, publisher.config, files, options);
  assert.equal(added?.version, '1-1');
  await publisher.publish();
  assert.deepEqual(await problems(publisher), []);
  const deb = files.find((file) => file.endsWith('.deb'))!;
  assert.deepEqual(
    readFileSync(join(layout(publisher.folder).public, 'apt/pool', `${packageNames(running).deb}_1-1_amd64.deb`)),
    readFileSync(deb),
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

test('the clock must not go back between publications', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.publish();
  await provokes('channel-clock', () =>
    publish(publisher.folder, publisher.config, new Date(publisher.now.getTime() - 5000), silentReporter()),
  );
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
