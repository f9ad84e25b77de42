import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { harden } from '#kpatch/base/process/harden.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { loadAll } from '#kpatch/host/boot/boot.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, moduleBytes, RELEASE } from './fake.ts';
import { install, proven, strict } from './trust.ts';

const report = silentReporter();
const program = join(import.meta.dirname, '../../../../bin/kpatch');

attack(
  {
    area: 'store',
    attacker: 'local user',
    how: 'a path that begins like the store, /var/lib/kpatch/../x.ko, changed after it was checked',
  },
  async () => {
    using machine = new FakeMachine();
    mkdirSync(machine.store, { recursive: true });
    const file = `${machine.store}/../x.ko`;
    writeFileSync(file, moduleBytes({ name: 'one' }));
    const module = readModuleFile(file);
    const { insmod } = machine.control;
    let loadedFrom = '';
    machine.control.insmod = (path) => {
      writeFileSync(file, moduleBytes({ name: 'evil' }));
      loadedFrom = path;
      return insmod(path);
    };
    await loadModule(machine, module, {}, report);
    assert.deepEqual(machine.acts, ['insmod one']);
    return `the kernel was given ${loadedFrom.replace(machine.folder, '')}, a private copy of the bytes that were checked`;
  },
);

attack(
  { area: 'store', attacker: 'local user', how: 'the private copy is exchanged between check and insmod' },
  async () => {
    using machine = new FakeMachine();
    const module = readModuleFile(machine.module({ name: 'one' }));
    machine.refusals = ['Device or resource busy'];
    const { sleep } = machine.clock;
    machine.clock.sleep = (ms) => {
      writeFileSync(join(machine.run, 'loading/one.ko'), moduleBytes({ name: 'evil' }));
      return sleep(ms);
    };
    const refusal = await provokes('module-changed', () => loadModule(machine, module, {}, report));
    assert.deepEqual(machine.names(), []);
    return refusal;
  },
);

attack(
  { area: 'store', attacker: 'local user', how: 'the proof is exchanged after it was checked, before it is stored' },
  async () => {
    using given = strict();
    const { machine, key } = given;
    const file = proven(machine, key);
    const good = readFileSync(proofPath(file), 'utf8');
    const { insmod } = machine.control;
    machine.control.insmod = (path) => {
      writeFileSync(proofPath(file), '{}');
      return insmod(path);
    };
    await install(machine, file);
    assert.equal(readFileSync(join(machine.store, RELEASE, 'one.proof.json'), 'utf8'), good);
    return 'the bytes that were checked are the bytes that are stored';
  },
);

attack(
  { area: 'store', attacker: 'local user', how: 'root works with umask 0, to get folders that everybody can write' },
  async () => {
    using machine = new FakeMachine();
    const before = process.umask(0);
    try {
      await install(machine, machine.module({ name: 'one' }));
    } finally {
      process.umask(before);
    }
    for (const folder of [
      machine.run,
      join(machine.run, 'loading'),
      join(machine.run, 'loaded'),
      machine.store,
      join(machine.store, RELEASE),
      join(machine.store, RELEASE, '.staged'),
    ]) {
      assert.equal(statSync(folder).mode & 0o022, 0, folder);
    }
    return 'every folder is made with its own mode';
  },
);

attack(
  { area: 'store', attacker: 'mirror', how: 'a module whose signature the kernel would call malformed' },
  async () => {
    using machine = new FakeMachine();
    const file = machine.module({ name: 'one' });
    writeFileSync(
      file,
      Buffer.concat([readFileSync(file), Buffer.alloc(12), Buffer.from('~Module signature appended~\n')]),
    );
    const refusal = await provokes('signature-refused', () => install(machine, file));
    assert.deepEqual(machine.acts, []);
    return refusal;
  },
);

attack(
  { area: 'store', attacker: 'local user', how: 'NODE_OPTIONS and OPENSSL_CONF through sudo -E, to load code as root' },
  async () => {
    using folder = temporaryFolder('kpatch-env-');
    const [script, mark] = [join(folder.path, 'evil.cjs'), join(folder.path, 'ran')];
    writeFileSync(script, `require('node:fs').writeFileSync(${JSON.stringify(mark)}, '')`);
    const conf = join(folder.path, 'openssl.cnf');
    writeFileSync(conf, 'nodejs_conf = x\n[x]\nengines = y\n');
    const env = { SUDO_UID: '1000', NODE_OPTIONS: `--require=${script}`, OPENSSL_CONF: conf };
    const { status } = await run(program, ['version'], { env });
    assert.deepEqual([status, existsSync(mark)], [0, false]);
    const inherited: NodeJS.ProcessEnv = { ...env, PATH: '/bin' };
    const before = process.umask();
    harden(inherited);
    process.umask(before);
    assert.deepEqual(inherited, { SUDO_UID: '1000', PATH: '/bin' });
    return 'under sudo the start script and every program that kpatch starts do without these variables';
  },
);

attack(
  {
    area: 'store',
    attacker: 'local user',
    how: 'a store that an earlier version made with umask 0: another module and index in it',
  },
  async () => {
    using machine = new FakeMachine();
    await install(machine, machine.module({ name: 'one' }));
    const folder = join(machine.store, RELEASE);
    chmodSync(folder, 0o777);
    machine.reboot();
    const { failures, loads } = await loadAll(machine, { guarded: true }, report);
    assert.deepEqual([loads.length, machine.names()], [0, []]);
    const refusal = await provokes('store-unsafe', () => {
      throw failures[0]?.error;
    });
    assert.match(statusOf(machine).todo.join('\n'), /users other than root can write to/);
    chmodSync(folder, 0o755);
    assert.equal((await loadAll(machine, { guarded: true }, report)).loads.length, 1);
    return refusal;
  },
);

attack(
  { area: 'policy', attacker: 'local user', how: 'remove the policy from a folder that others can write' },
  async () => {
    using machine = new FakeMachine();
    mkdirSync(machine.etc);
    chmodSync(machine.etc, 0o777);
    return provokes('policy-unusable', () => install(machine, machine.module({ name: 'one' })));
  },
);
