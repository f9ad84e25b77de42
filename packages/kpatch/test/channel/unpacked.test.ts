/** What packages unpack is data; kpatch compares it with the store, as the trigger of its package and every update do. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { settleUnpacked } from '#kpatch/channel/follow/unpacked.ts';
import { buildDeb } from '#kpatch/channel/package/deb.ts';
import { buildLivePatch, livePatchSpec } from '#kpatch/channel/package/livepatch.ts';
import { recordOf } from '#kpatch/channel/package/record.ts';
import { readPatchModule } from '#kpatch/channel/patch-module.ts';
import { addPatches } from '#kpatch/channel/repository/add.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installModule, uninstallPatch } from '#kpatch/host/store/install.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { type ModuleFields, moduleName, writeModule } from './module-file.ts';
import { Publisher, running } from './publisher.ts';

gnupgHome();
const report = silentReporter();
const installed = (root: string): string[] => installedPatches(thisMachine(root), running).map(({ name }) => name);

/** Unpacks a package's files into an image, as dpkg and rpm do. */
function unpack(root: string, folder: string, fields: ModuleFields): void {
  const module = readPatchModule(writeModule(folder, { release: running, ...fields }));
  const { files } = livePatchSpec(recordOf(module, 1, new Map()), module);
  rmSync(join(root, 'usr/lib/kpatch', running), { recursive: true, force: true });
  for (const [path, content] of files) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

test('unpacked patches are installed, replaced by their successors, and removed with their package', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const root = join(folder.path, 'image');
  mkdirSync(join(root, 'etc/kpatch'), { recursive: true });
  assert.deepEqual(await settleUnpacked(root, report), { installed: [], removed: [], waiting: [] });
  unpack(root, folder.path, { version: 1 });
  const first = await settleUnpacked(root, report);
  assert.deepEqual(first, { installed: [`${running} ${moduleName(running, 1)}`], removed: [], waiting: [] });
  unpack(root, folder.path, { version: 2 });
  await settleUnpacked(root, report);
  assert.deepEqual(installed(root), [moduleName(running, 2)]);
  assert.deepEqual(await settleUnpacked(root, report), { installed: [], removed: [], waiting: [] });
  rmSync(join(root, 'usr/lib/kpatch'), { recursive: true });
  const gone = await settleUnpacked(root, report);
  assert.deepEqual([gone.removed, installed(root)], [[`${running} ${moduleName(running, 2)}`], []]);
  // Removing the package was no wish against the patch: a package that comes again brings it.
  unpack(root, folder.path, { version: 2 });
  await settleUnpacked(root, report);
  assert.deepEqual(installed(root), [moduleName(running, 2)]);
});

test('a patch that the administrator installed is not removed because no package has it', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const root = join(folder.path, 'image');
  mkdirSync(join(root, 'etc'), { recursive: true });
  const file = writeModule(folder.path, { release: running, version: 1 });
  await installModule(thisMachine(root), file, { unattended: false }, report);
  await settleUnpacked(root, report);
  assert.deepEqual(installed(root), [moduleName(running, 1)]);
});

attack(
  { area: 'policy', attacker: 'channel key', how: 'a package of data that the host policy does not allow' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const root = join(folder.path, 'image');
    mkdirSync(join(root, 'etc/kpatch'), { recursive: true });
    unpack(root, folder.path, { version: 1 });
    const policy = { schema: 'kpatch.host-policy/1', update: 'fetch' };
    writeFileSync(join(root, 'etc/kpatch/host-policy.json'), JSON.stringify(policy));
    const { waiting } = await settleUnpacked(root, report);
    assert.deepEqual(installed(root), []);
    assert.match(waiting.join(), /may not install by themselves/);
    return waiting.join();
  },
);

attack(
  { area: 'policy', attacker: 'channel key', how: 'a package puts back what the administrator uninstalled' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const root = join(folder.path, 'image');
    mkdirSync(join(root, 'etc'), { recursive: true });
    unpack(root, folder.path, { version: 1 });
    await settleUnpacked(root, report);
    const name = moduleName(running, 1);
    await uninstallPatch(thisMachine(root), name, { release: running, unattended: false }, report);
    unpack(root, folder.path, { version: 2 });
    const { waiting } = await settleUnpacked(root, report);
    assert.deepEqual(installed(root), []);
    return waiting.join();
  },
);

test('new keys of the channel reach the machine with its own package, and only a machine that follows', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const root = folder.path;
  const own = join(root, 'usr/share/kpatch/channel/keyring.gpg');
  const used = join(root, 'etc/apt/keyrings/kpatch-channel.gpg');
  for (const file of [own, used]) mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(own, 'new');
  await settleUnpacked(root, report);
  assert.equal(existsSync(used), false);
  writeFileSync(used, 'old');
  await settleUnpacked(root, report);
  assert.equal(readFileSync(used, 'utf8'), 'new');
});

attack(
  {
    area: 'channel',
    attacker: 'supply chain',
    how: 'a package with a script, a further file or a field of its own is added to a channel',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const publisher = await Publisher.make(folder.path, makeKey('signer <signer@example.org>'));
    const module = readPatchModule(writeModule(folder.path, { release: running, version: 1 }));
    const record = recordOf(module, 1, new Map());
    const spec = livePatchSpec(record, module);
    const file = join(folder.path, 'kpatch-patch-6.1.0-56-amd64_1-1_amd64.deb');
    const options = { release: 1, withdrawn: [], advisories: new Map(), now: publisher.now };
    const add = (): Promise<unknown> => addPatches(publisher.folder, publisher.config, [file], options);
    const evil = [
      { ...spec, files: new Map([...spec.files, ['/etc/cron.d/evil', 'x']]) },
      { ...spec, depends: ['kpatch', 'evil'] },
      { ...spec, depends: ['kpatch\nReplaces: bash'] },
    ];
    let last: Error | undefined;
    for (const one of evil) {
      await buildDeb(one, file);
      last = await provokes('channel-package', add);
    }
    await buildLivePatch(record, module, folder.path, ['deb']);
    await add();
    return last as Awaited<ReturnType<typeof provokes>>;
  },
);

attack(
  { area: 'channel', attacker: 'channel key', how: 'a package whose module is not the one that its record names' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const root = join(folder.path, 'image');
    mkdirSync(join(root, 'etc'), { recursive: true });
    unpack(root, folder.path, { version: 1 });
    const other = writeModule(folder.path, { release: running, version: 1, cves: ['CVE-2026-6666'] });
    writeFileSync(join(root, 'usr/lib/kpatch', running, `${moduleName(running, 1)}.ko`), readFileSync(other));
    const { waiting } = await settleUnpacked(root, report);
    assert.deepEqual(installed(root), []);
    assert.match(waiting.join(), /does not match its record/);
    return waiting.join();
  },
);
