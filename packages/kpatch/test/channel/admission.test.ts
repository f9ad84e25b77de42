/** What a channel takes and what it refuses. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { packageNames } from '#kpatch/channel/package/name.ts';
import { addPatches } from '#kpatch/channel/repository/add.ts';
import { layout } from '#kpatch/channel/repository/config.ts';
import { readKernel, writeKernel } from '#kpatch/channel/repository/kernel.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { type Proof, signProof } from '#kpatch/module/proof.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { proofKeyPair, proofOf } from '../host/trust.ts';
import { makeKey as signingKey } from '../module/key.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { writeModule } from './module-file.ts';
import { newer, Publisher, problems, running } from './publisher.ts';

gnupgHome();
const key = makeKey('channel <channel@example.org>');

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
      readKernel(publisher.folder, running).patches.at(-1)!.issued.slice(0, 4),
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
