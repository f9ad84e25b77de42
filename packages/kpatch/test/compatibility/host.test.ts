/** What kpatch 0.1 left on a machine: module, proof, store, boot marker, settings. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { readSettings } from '#kpatch/channel/follow/settings.ts';
import { readState } from '#kpatch/channel/follow/state.ts';
import { admit } from '#kpatch/host/acceptance/acceptance.ts';
import { bootSet, loadAll } from '#kpatch/host/boot/boot.ts';
import { guardDamaged, readGuard } from '#kpatch/host/boot/guard.ts';
import { readRecord } from '#kpatch/host/live/loaded-record.ts';
import { installAgain, installModule, uninstallPatch } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import {
  findInstalled,
  indexDamaged,
  installedPatches,
  readInstalled,
  rebuildIndex,
} from '#kpatch/host/store/store.ts';
import { readProof, requireProof } from '#kpatch/module/proof.ts';
import { FakeMachine } from '../host/fake.ts';
import { provokes } from '../provoke.ts';
import { cumulative, fixture, release, single, unpack } from './fixtures.ts';

const main = join(import.meta.dirname, '../../cli/main.ts');
const module = fixture(`${cumulative}.ko`);
const proof = fixture(`${cumulative}.proof.json`);
const key = fixture('proof-key.pem');
/** Build-id of the kernel, as the manifest has it. */
const buildId = '6a2b4ac77585b8cf102cba771300e573c8489b69';

/** A machine that runs the kernel of the fixtures, with the files that 0.1 left on it. */
function machineOf01(folder: string): FakeMachine {
  const files = unpack('machine', folder);
  const machine = new FakeMachine();
  cpSync(join(files, 'var/lib/kpatch'), machine.store, { recursive: true });
  cpSync(join(files, 'run/kpatch'), machine.run, { recursive: true });
  machine.set('proc/sys/kernel/osrelease', release);
  machine.set('sys/kernel/notes', Buffer.from(`040000001400000003000000474e5500${buildId}`, 'hex'));
  return machine;
}

test('a module: the manifest is read, and `info --json` still says all that 0.1 said', async () => {
  const { manifest, sha256 } = readModuleFile(module);
  assert.equal(manifest?.schema, 'kpatch.manifest/1');
  assert.equal(manifest.tool, 'kpatch 0.1.0');
  assert.equal(manifest.runPre, 'matched');
  const then = JSON.parse(readFileSync(fixture('json/info.json'), 'utf8')) as Record<string, unknown>;
  assert.equal(sha256, then.sha256);
  const { stdout } = await run(process.execPath, [main, 'info', '--json', module]);
  const now = JSON.parse(stdout.toString()) as Record<string, unknown>;
  for (const [name, value] of Object.entries(then)) {
    if (name !== 'path') assert.deepEqual(now[name], value, name);
  }
});

test('a proof: accepted with its module, refused with another, refused in a later format', async () => {
  const { sha256 } = readModuleFile(module);
  const good = requireProof(proof, { module: sha256, release, buildId, keys: [key] });
  assert.equal(good.verdict, 'proven');
  assert.equal(readProof(proof).tool, 'kpatch 0.1.0');
  const other = readModuleFile(fixture(`${single}.ko`)).sha256;
  await provokes('proof-invalid', () => requireProof(proof, { module: other, release }));
  using folder = temporaryFolder('kpatch-compat-');
  const later = join(folder.path, 'later.proof.json');
  writeFileSync(later, readFileSync(proof, 'utf8').replace('kpatch.proof/1', 'kpatch.proof/9'));
  await provokes('proof-invalid', () => requireProof(later, { module: sha256, release }));
});

test('a store: every patch is found, is what was installed, and can be demanded with its proof', () => {
  using folder = temporaryFolder('kpatch-compat-');
  using machine = machineOf01(folder.path);
  const patches = installedPatches(machine, release);
  assert.deepEqual(
    patches.map(({ name }) => name),
    [cumulative, single],
  );
  for (const patch of patches) assert.equal(readInstalled(patch).sha256, patch.sha256);
  assert.deepEqual(
    bootSet(machine, release).map(({ name }) => name),
    [cumulative, single],
  );
  const installed = readInstalled(findInstalled(machine, release, cumulative));
  assert.ok(admit(machine, installed, { requireProof: true, proofKey: [key] }).proof);
  assert.deepEqual(readRecord(machine, cumulative)?.manifest?.cves, ['CVE-1900-0001']);
  assert.deepEqual(readRecord(machine, single)?.manifest?.cves, ['CVE-1900-0002']);
});

test('a boot marker: the boot that 0.1 began and did not survive counts, and what 0.1 blocked stays blocked', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  using machine = machineOf01(folder.path);
  assert.equal(guardDamaged(machine, release), false);
  assert.equal(readGuard(machine, release).survived?.length, 2);
  const booted = await loadAll(machine, { guarded: true }, silentReporter());
  assert.deepEqual(
    booted.loads.map(({ name }) => name),
    [cumulative, single],
  );
  assert.equal(readGuard(machine, release).lost?.length, 1, 'one lost boot, of which nothing else is known');
  const patches = installedPatches(machine, release).map(({ name, sha256 }) => ({
    name,
    sha256,
    at: '2026-11-30T00:00:00Z',
  }));
  const marker = join(machine.store, release, '.boot.json');
  writeFileSync(marker, JSON.stringify({ schema: 'kpatch.boot/1', blocked: patches }));
  machine.reboot();
  const blocked = await loadAll(machine, { guarded: true }, silentReporter());
  assert.deepEqual([...blocked.blocked].sort(), [cumulative, single]);
  const { freed } = await installAgain(machine, undefined, { load: false }, silentReporter());
  assert.deepEqual([...freed].sort(), [cumulative, single]);
});

test('a store: this version replaces and uninstalls what 0.1 installed, and leaves nothing of it', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  using machine = machineOf01(folder.path);
  const again = await provokes('already-installed', () =>
    installModule(machine, module, { load: false }, silentReporter()),
  );
  assert.match(again.message, new RegExp(cumulative));
  for (const name of [cumulative, single]) {
    await uninstallPatch(machine, name, {}, silentReporter());
  }
  assert.deepEqual(
    readdirSync(join(machine.store, release)).filter(
      (name) => !['.index.json', '.boot.json', '.staged'].includes(name),
    ),
    [],
  );
  assert.deepEqual(readdirSync(join(machine.store, release, '.staged')), []);
});

test('a store index or boot marker of a later format is reported as damaged, not taken for an empty one', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  using machine = machineOf01(folder.path);
  const index = join(machine.store, release, '.index.json');
  writeFileSync(index, readFileSync(index, 'utf8').replace('kpatch.store/1', 'kpatch.store/9'));
  const marker = join(machine.store, release, '.boot.json');
  writeFileSync(marker, readFileSync(marker, 'utf8').replace('kpatch.boot/1', 'kpatch.boot/9'));
  assert.equal(indexDamaged(machine, release), true);
  assert.equal(guardDamaged(machine, release), true);
  assert.equal(installedPatches(machine, release).length, 2, 'the modules are still seen');
  await provokes('store-index-damaged', () => uninstallPatch(machine, single, {}, silentReporter()));
  rebuildIndex(machine, release);
  assert.equal(installedPatches(machine, release).length, 2);
});

test('settings and state of a machine that follows a channel', () => {
  using folder = temporaryFolder('kpatch-compat-');
  const root = unpack('machine', folder.path);
  const settings = readSettings(root);
  assert.equal(settings?.mode, 'auto');
  assert.match(settings.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const state = readState(root);
  assert.equal(new Date(state.newest * 1000).toISOString(), '2026-11-30T18:35:17.000Z');
  assert.equal(state.problem, '');
  assert.ok(existsSync(join(root, 'usr/lib/kpatch', release, 'advisory.json')));
});
