/** What others can put in the way: links, pipes, odd names, a file that changes, a held lock, text that steers a terminal. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { loadAll } from '#kpatch/host/boot/boot.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { withLock } from '#kpatch/host/machine/host-lock.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installModule } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { installedEverywhere, readInstalled } from '#kpatch/host/store/store.ts';
import { verify } from '#kpatch/host/verify.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, moduleBytes, RELEASE } from './fake.ts';

const report = silentReporter();

test('a pipe or a folder in the store keeps neither the boot waiting nor the others from being loaded', async () => {
  using machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'one' }), {}, report);
  const folder = join(machine.store, RELEASE);
  await runOk('mkfifo', [join(folder, 'pipe.ko')]);
  mkdirSync(join(folder, 'folder.ko'));
  symlinkSync('loop.ko', join(folder, 'loop.ko'));
  machine.reboot();
  const { loads, failures } = await loadAll(machine, { guarded: true }, report);
  assert.deepEqual(
    [loads.map(({ name }) => name), failures.map(({ name, error }) => `${name} ${error.code}`)],
    [['one'], ['folder', 'loop', 'pipe'].map((name) => `${name} file-unreadable`)],
  );
  assert.deepEqual(
    verify(machine)
      .flatMap(({ patch }) => patch ?? [])
      .slice(0, 3),
    ['folder', 'loop', 'pipe'],
  );
  await provokes('file-unreadable', () => readModuleFile(join(folder, 'pipe.ko')));
  await provokes('file-unreadable', () => readModuleFile('/dev/zero'));
});

test('a release’s folder may be a link to a larger disk', async () => {
  using machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'one' }), {}, report);
  renameSync(join(machine.store, RELEASE), join(machine.folder, 'large'));
  symlinkSync(join(machine.folder, 'large'), join(machine.store, RELEASE));
  const [patch, ...others] = installedEverywhere(machine);
  assert.deepEqual([patch?.name, others], ['one', []]);
  assert.equal(readInstalled(patch!).name, 'one');
});

test('a link in an image that leads out of it is not followed', async () => {
  using machine = new FakeMachine();
  const outside = join(machine.folder, 'outside');
  mkdirSync(outside);
  for (const [link, target] of [
    ['var/lib/kpatch', outside],
    ['run', '/run'],
    [`var/lib/kpatch/${RELEASE}`, '../../../../outside'],
  ] as const) {
    const image = join(machine.folder, `image-${link.replaceAll('/', '-')}`);
    mkdirSync(join(image, link, '..'), { recursive: true });
    symlinkSync(target, join(image, link));
    const there = thisMachine(image);
    const error = await provokes('usage', () => withLock(there, report, 0, async () => {}));
    assert.match(error.message, /leads to .*, which is outside/);
  }
  const image = join(machine.folder, 'image');
  mkdirSync(join(image, 'data'), { recursive: true });
  mkdirSync(join(image, 'var/lib'), { recursive: true });
  symlinkSync('../../data', join(image, 'var/lib/kpatch'));
  assert.equal(await withLock(thisMachine(image), report, 0, async () => 'inside'), 'inside');
  assert.deepEqual(readdirSync(outside), []);
});

test('a file name that would break the lists is not installed', async () => {
  using machine = new FakeMachine();
  const good = machine.module({ name: 'one' });
  for (const name of ['a\nb.ko', '\u001b[31m.ko', '.hidden.ko', '.ko', 'one.txt']) {
    const odd = join(machine.folder, name);
    copyFileSync(good, odd);
    await provokes('usage', () => installModule(machine, odd, {}, report));
  }
  assert.equal(existsSync(machine.store), false);
  const spaced = join(machine.folder, '-of mine.ko');
  copyFileSync(good, spaced);
  await installModule(machine, spaced, {}, report);
  assert.deepEqual(
    installedEverywhere(machine).map(({ name, file }) => [name, file]),
    [['one', '-of mine.ko']],
  );
});

test('a file that becomes another one after it was checked is not loaded', async () => {
  using machine = new FakeMachine();
  const file = machine.module({ name: 'one' });
  const module = readModuleFile(file);
  writeFileSync(file, moduleBytes({ name: 'other' }));
  await loadModule(machine, module, {}, report);
  assert.deepEqual(machine.acts, ['insmod one']);
  assert.deepEqual(readdirSync(join(machine.run, 'loading')), []);
  await installModule(machine, module, {}, report);
  const [installed] = installedEverywhere(machine);
  assert.equal(readInstalled(installed!).sha256, module.sha256);
});

test('the lock is root’s: nobody else can hold it, or asks for it in vain', async () => {
  using machine = new FakeMachine();
  const path = join(machine.run, 'lock');
  mkdirSync(machine.run);
  writeFileSync(path, '');
  chmodSync(path, 0o644); // as an earlier version left it
  await withLock(machine, report, 0, async () => assert.equal(statSync(path).mode & 0o777, 0o600));
  machine.isRoot = false;
  await provokes('not-root', () => withLock(machine, report, 0, async () => {}));
});

test('what a file is called does not reach the terminal as it is', async () => {
  using machine = new FakeMachine();
  const program = join(import.meta.dirname, '../../../../bin/kpatch');
  const odd = join(machine.folder, 'a\u001b[31m\u009b0m.ko');
  copyFileSync(machine.module({ name: 'one' }), odd);
  const info = await run(program, ['info', odd]);
  assert.match(info.stdout.toString(), /a\ufffd\[31m\ufffd0m\.ko/);
  const missing = await run(program, ['load', '/nowhere/\u001b[2J.ko']);
  assert.match(missing.stderr, /\/nowhere\/\ufffd\[2J\.ko/);
  assert.doesNotMatch(`${info.stdout}${missing.stderr}`, /[\u001b\u009b]/);
});
