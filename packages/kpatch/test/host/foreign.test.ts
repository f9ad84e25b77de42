/** Modules of another machine: everything that would run one refuses it; what only carries it takes it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { checkFit } from '#kpatch/host/fit.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { installModule } from '#kpatch/host/store/install.ts';
import { moduleFileOf, readModuleFile } from '#kpatch/host/store/module-file.ts';
import { aarch64 } from '#kpatch/platform/arm64/machine.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, moduleBytes } from './fake.ts';

const folder = temporaryFolder('kpatch-foreign-');
after(() => folder.dispose());
const program = join(import.meta.dirname, '../../../../bin/kpatch');
const report = silentReporter();
const arch = { machine: aarch64.machine, manifest: { arch: aarch64.naming.uname } };

test('a module of another machine is neither loaded nor installed', async () => {
  using machine = new FakeMachine();
  const module = readModuleFile(machine.module({ name: 'foreign', ...arch }));
  const load = await provokes('machine-mismatch', () => loadModule(machine, module, {}, report));
  assert.match(load.message, /foreign is for aarch64, but this machine is /);
  await provokes('machine-mismatch', () => installModule(machine, module, {}, report));
  const [refused] = checkFit(machine, module).filter(({ level }) => level === 'refused');
  assert.equal(refused?.check, 'machine');
  assert.deepEqual(machine.acts, []);
});

test('a manifest of another machine than its module is damaged, also for a machine that has no record', async () => {
  const { manifest } = arch;
  await provokes('manifest-damaged', () => moduleFileOf(moduleBytes({ name: 'a', manifest }), 'a.ko'));
  const error = await provokes('manifest-damaged', () =>
    moduleFileOf(moduleBytes({ name: 'a', machine: 243, manifest }), 'a.ko'),
  );
  assert.match(error.message, /aarch64.*machine 243/);
  assert.equal(moduleFileOf(moduleBytes({ name: 'a', machine: 243, manifest: false }), 'a.ko').arch, 'machine 243');
});

test('the commands say so too', () => {
  const file = join(folder.path, 'foreign.ko');
  writeFileSync(file, moduleBytes({ name: 'foreign', ...arch }));
  const env = { ...process.env, XDG_CACHE_HOME: folder.path };
  const run = (...args: string[]): { status: number | null; text: string } => {
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env, cwd: folder.path });
    return { status, text: `${stdout}${stderr}` };
  };
  for (const command of ['load', 'install']) {
    const { status, text } = run(command, file);
    assert.equal(status, 4, `${command}: ${text}`);
    assert.match(text, /is for aarch64|kernel .* is running/, command);
  }
  assert.match(run('verify', file).text, /this kernel: refuses: it is for aarch64/);
  const made = run('package', file, '-o', folder.path, '--json');
  assert.equal(made.status, 0, made.text);
  assert.match(made.text, /arm64\.deb/);
});
