import assert from 'node:assert/strict';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KpatchError } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { readPolicyState } from '#kpatch/host/acceptance/policy.ts';
import { type BootResult, loadAll } from '#kpatch/host/boot/boot.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { uninstallPatch } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { attack } from '../attack.ts';
import { makeKey } from '../module/key.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, moduleBytes, RELEASE } from './fake.ts';
import { install, makeProofKey, proofOf, prove, proven, revoke, setPolicy, strict, type TestKey } from './trust.ts';

const report = silentReporter();
const program = join(import.meta.dirname, '../../../../bin/kpatch');
const DAY = 86_400_000;
const boot = (machine: FakeMachine): Promise<BootResult> => loadAll(machine, { guarded: true }, report);
const installed = (machine: FakeMachine): string[] => installedPatches(machine, RELEASE).map(({ name }) => name);

/** Every way a module can come into the kernel or the store; each must meet the policy. */
const ways: Readonly<Record<string, (machine: FakeMachine, file: string) => Promise<KpatchError>>> = {
  'kpatch install': (machine, file) => provokes('policy-refused', () => install(machine, file)),
  'kpatch load': (machine, file) =>
    provokes('policy-refused', () => loadModule(machine, readModuleFile(file), {}, report)),
  'a package script or the retry of an update': (machine, file) =>
    provokes('policy-refused', () => install(machine, file, { unattended: true })),
  'a file put into the store by hand, and the boot unit': async (machine, file) => {
    mkdirSync(join(machine.store, RELEASE), { recursive: true });
    copyFileSync(file, join(machine.store, RELEASE, 'one.ko'));
    if (existsSync(proofPath(file))) copyFileSync(proofPath(file), join(machine.store, RELEASE, 'one.proof.json'));
    machine.reboot();
    const { failures, loads } = await boot(machine);
    assert.deepEqual([loads.length, machine.acts], [0, []]);
    const [failure] = failures;
    return provokes('policy-refused', () => {
      throw failure?.error;
    });
  },
};

for (const [way, go] of Object.entries(ways)) {
  attack({ area: 'policy', attacker: 'channel key', how: `an unproven module by ${way}` }, async () => {
    using given = strict();
    const refusal = await go(given.machine, given.machine.module({ name: 'one' }));
    assert.deepEqual([given.machine.names(), given.machine.acts], [[], []]);
    assert.ok(
      given.machine.journal.some((entry) => entry.KPATCH_ERROR === 'policy-refused'),
      'the journal names it',
    );
    return refusal;
  });
}

const forgeries: Readonly<Record<string, (file: string, key: TestKey, other: TestKey) => void>> = {
  'a proof of two lines, written by hand': (file) =>
    writeFileSync(proofPath(file), '{"schema":"kpatch.proof/1",\n"verdict":"proven"}\n'),
  'a whole proof without a signature': (file) => writeFileSync(proofPath(file), JSON.stringify(proofOf(file))),
  'a proof signed with another key': (file, _, other) => prove(file, other),
  'a proof whose text was changed after it was signed': (file, key) => {
    prove(file, key, { plan: 'quick' });
    writeFileSync(proofPath(file), readFileSync(proofPath(file), 'utf8').replace('"quick"', '"full"'));
  },
  'a signed proof of one check': (file, key) => prove(file, key, { plan: 'quick, only fits' }),
  'a signed proof without a test': (file, key) => prove(file, key, { inputs: [] }),
  'a signed proof that is too old': (file, key) => prove(file, key, { made: '2025-01-01T00:00:00.000Z' }),
  'a signed proof from the future': (file, key) => prove(file, key, { made: '2027-01-01T00:00:00.000Z' }),
  'a signed proof with the verdict "proven except one"': (file, key) =>
    prove(file, key, { verdict: 'proven except one' as 'proven' }),
  'a signed proof that has the verdict twice': (file, key) => {
    prove(file, key);
    const text = readFileSync(proofPath(file), 'utf8');
    writeFileSync(proofPath(file), text.replace('{', '{"verdict":"not proven",'));
  },
};

for (const [forgery, forge] of Object.entries(forgeries)) {
  attack({ area: 'policy', attacker: 'mirror', how: forgery }, async () => {
    using given = strict({ test: true, maxAgeDays: 90, plans: ['full'] });
    const { machine, key } = given;
    const file = machine.module({ name: 'one' });
    forge(file, key, makeProofKey(machine, 'other'));
    const refusal = await provokes('policy-refused', () => install(machine, file));
    assert.deepEqual([installed(machine), machine.names()], [[], []]);
    return refusal;
  });
}

test('a proven module is accepted by every way, and its record says how', async () => {
  using given = strict({ test: true, maxAgeDays: 90, plans: ['full'] });
  const { machine, key } = given;
  await install(machine, proven(machine, key));
  const [patch] = installedPatches(machine, RELEASE);
  const state = readPolicyState(machine);
  assert.equal(state.kind, 'valid');
  assert.deepEqual(patch?.acceptance?.keys, [key.id]);
  assert.equal(patch?.acceptance?.policy, state.kind === 'valid' ? state.policy.digest : '');
  machine.reboot();
  await boot(machine);
  assert.deepEqual(machine.names(), ['one']);
  assert.deepEqual(statusOf(machine).todo, []);
});

test('a proof with exceptions counts where the policy allows it', async () => {
  using given = strict({ provenExcept: true });
  const { machine, key } = given;
  const file = machine.module({ name: 'one' });
  const open = proofOf(file).checks.map((check, at) => ({ ...check, outcome: at === 0 ? 'not run' : 'held' }) as const);
  prove(file, key, { verdict: 'proven except amd64_edac' as 'proven', checks: open });
  await install(machine, file);
  const failed = open.map((check) => ({ ...check, outcome: 'failed' }) as const);
  const next = machine.module({ name: 'two', manifest: { version: 2 } });
  prove(next, key, { verdict: 'proven except amd64_edac' as 'proven', checks: failed });
  await provokes('policy-refused', () => install(machine, next));
});

test('a proof that ages, a certificate that ends, a clock that jumps: what was accepted is still loaded at boot', async () => {
  using given = strict({ maxAgeDays: 30 });
  const { machine, key } = given;
  await install(machine, proven(machine, key));
  for (const jump of [400 * DAY, -800 * DAY]) {
    machine.now += jump;
    machine.reboot();
    const { loads } = await boot(machine);
    assert.deepEqual(
      loads.map(({ name }) => name),
      ['one'],
    );
  }
  // Something new of that age is refused.
  machine.now += 1000 * DAY;
  const file = machine.module({ name: 'two', manifest: { version: 2 } });
  prove(file, key);
  await provokes('policy-refused', () => install(machine, file));
});

test('with a policy that cannot be used, a boot loads what was accepted and nothing else, and raises an alarm', async () => {
  using given = strict();
  const { machine, key } = given;
  await install(machine, proven(machine, key));
  writeFileSync(
    join(machine.store, RELEASE, 'by_hand.ko'),
    moduleBytes({ name: 'by_hand', manifest: { replace: false } }),
  );
  setPolicy(machine, { prof: {} });
  machine.reboot();
  const { loads, failures } = await boot(machine);
  assert.deepEqual(
    [loads.map(({ name }) => name), failures.map(({ name, error }) => `${name} ${error.code}`)],
    [['one'], ['by_hand policy-unusable']],
  );
  assert.ok(machine.journal.some((entry) => entry.KPATCH_OUTCOME === 'alarm' && entry.KPATCH_PATCH === 'one'));
  assert.match(statusOf(machine).todo.join('\n'), /the host policy cannot be used: the member "prof"/);
  const file = machine.module({ name: 'two', manifest: { version: 2 } });
  prove(file, key);
  await provokes('policy-unusable', () => install(machine, file));
  await provokes('policy-unusable', () => loadModule(machine, readModuleFile(file), {}, report));
});

test('what the last valid policy refused is not loaded later because the policy cannot be read', async () => {
  using machine = new FakeMachine();
  const key = makeProofKey(machine, 'proofs');
  await install(machine, machine.module({ name: 'one' }));
  setPolicy(machine, { proof: { required: true, keys: [key.name] } });
  machine.reboot();
  assert.deepEqual(
    (await boot(machine)).failures.map(({ error }) => error.code),
    ['policy-refused'],
  );
  setPolicy(machine, { broken: true });
  machine.reboot();
  assert.deepEqual(
    (await boot(machine)).failures.map(({ error }) => error.code),
    ['policy-unusable'],
  );
});

attack(
  { area: 'policy', attacker: 'channel key', how: 'a module and proof signed with a key that leaked and was revoked' },
  async () => {
    using given = strict();
    const { machine, key } = given;
    revoke(machine, key.id);
    const file = proven(machine, key);
    await provokes('key-revoked', () => loadModule(machine, readModuleFile(file), {}, report));
    return provokes('key-revoked', () => install(machine, file));
  },
);

test('a key that is revoked later: its installed patches are kept with an alarm, or removed where the policy says so', async () => {
  using given = strict();
  const { machine, key } = given;
  await install(machine, proven(machine, key));
  revoke(machine, key.id);
  machine.reboot();
  assert.deepEqual(
    (await boot(machine)).loads.map(({ name }) => name),
    ['one'],
  );
  assert.match(
    statusOf(machine).todo.join('\n'),
    /one was signed with the key .*revoked \(leaked\).* stays because it was accepted before/,
  );
  setPolicy(machine, { proof: { required: true, keys: [key.name] }, revoked: 'remove' });
  machine.reboot();
  const { failures, loads } = await boot(machine);
  assert.deepEqual([failures.map(({ error }) => error.code), loads, installed(machine)], [['key-revoked'], [], []]);
});

attack(
  {
    area: 'policy',
    attacker: 'channel key',
    how: 'an update puts back, in a newer version, what a person uninstalled',
  },
  async () => {
    using machine = new FakeMachine();
    await install(machine, machine.module({ name: 'one' }));
    await uninstallPatch(machine, 'one', { unattended: false }, report);
    const update = { unattended: true };
    await provokes('patch-unwanted', () => install(machine, machine.module({ name: 'one' }), update));
    const next = machine.module({ name: 'two', manifest: { version: 2 } });
    const refusal = await provokes('patch-unwanted', () => install(machine, next, update));
    assert.deepEqual(
      statusOf(machine).policy.unwanted.map(({ name }) => name),
      ['one'],
    );
    // A person can have it back, and updates go on from there.
    await install(machine, next);
    await install(machine, machine.module({ name: 'three', manifest: { version: 3 } }), update);
    assert.deepEqual(installed(machine), ['three']);
    return refusal;
  },
);

test('a package that is removed records no wish', async () => {
  using machine = new FakeMachine();
  await install(machine, machine.module({ name: 'one' }));
  await uninstallPatch(machine, 'one', { unattended: true }, report);
  await install(machine, machine.module({ name: 'one' }), { unattended: true });
  assert.deepEqual(installed(machine), ['one']);
});

attack(
  { area: 'policy', attacker: 'channel key', how: 'an update installs by itself where the policy lets it only fetch' },
  async () => {
    using machine = new FakeMachine();
    setPolicy(machine, { update: 'fetch' });
    const file = machine.module({ name: 'one' });
    await provokes('policy-refused', () => loadModule(machine, readModuleFile(file), { unattended: true }, report));
    const refusal = await provokes('policy-refused', () => install(machine, file, { unattended: true }));
    await install(machine, file, { unattended: false });
    machine.reboot();
    assert.deepEqual(
      (await boot(machine)).loads.map(({ name }) => name),
      ['one'],
      'a boot is no update',
    );
    return refusal;
  },
);

attack(
  {
    area: 'policy',
    attacker: 'channel key',
    how: 'a module that is not signed, or with a key that the policy does not name',
  },
  async () => {
    using machine = new FakeMachine();
    using folder = temporaryFolder('kpatch-policy-');
    const [good, other] = [makeKey(folder.path, 'good'), makeKey(folder.path, 'other')];
    machine.set('etc/keys/good.pem', readFileSync(good.certificate));
    setPolicy(machine, { signature: { required: true, certificates: ['keys/good.pem'] } });
    machine.now = Date.now() - Date.UTC(2026, 0, 1); // the certificates are of today
    const file = machine.module({ name: 'one' });
    const plain = readFileSync(file);
    await provokes('policy-refused', () => install(machine, file));
    writeFileSync(file, await signModule(plain, other, 'sha256'));
    const refusal = await provokes('policy-refused', () => install(machine, file));
    writeFileSync(file, await signModule(plain, good, 'sha256'));
    await install(machine, file);
    const keys = installedPatches(machine, RELEASE)[0]?.acceptance?.keys;
    assert.equal(keys?.length, 1, 'the key that signed the module is recorded');
    machine.now += 365 * DAY;
    machine.reboot();
    assert.deepEqual(
      (await boot(machine)).loads.map(({ name }) => name),
      ['one'],
      'a certificate that ended later',
    );
    revoke(machine, keys![0]!);
    assert.match(statusOf(machine).todo.join('\n'), /one was signed with the key .* revoked/);
    return refusal;
  },
);

attack(
  {
    area: 'policy',
    attacker: 'channel key',
    how: 'a package script tries every option of kpatch install, then kpatch update tries again',
  },
  async () => {
    using given = strict();
    const { machine } = given;
    const image = join(machine.folder, 'image');
    mkdirSync(join(image, 'var/lib/kpatch'), { recursive: true });
    mkdirSync(join(image, 'etc'));
    cpSync(machine.etc, join(image, 'etc/kpatch'), { recursive: true });
    const file = machine.module({ name: 'one' });
    const lines = [[], ['--no-load'], ['-k', RELEASE], ['--again'], ['--downgrade'], ['--json']];
    for (const env of [{ DPKG_MAINTSCRIPT_PACKAGE: 'kpatch-patch' }, { KPATCH_UPDATE: '1' }, {}]) {
      for (const line of lines) {
        const { status, stdout, stderr } = await run(program, ['install', ...line, '--root', image, file], { env });
        assert.deepEqual([status, /policy-refused/.test(`${stdout}${stderr}`)], [4, true], line.join(' '));
      }
    }
    assert.equal(existsSync(join(image, `var/lib/kpatch/${RELEASE}`)), false);
    return 'policy-refused, 18 times, and nothing was written';
  },
);
