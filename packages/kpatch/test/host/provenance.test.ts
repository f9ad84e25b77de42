/** Provenance that a host policy demands: who built a module, from what. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { loadAll } from '#kpatch/host/boot/boot.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { rollBack } from '#kpatch/host/rollback.ts';
import { uninstallPatch } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { provenancePath } from '#kpatch/module/proof-path.ts';
import type { ProvenanceStatement } from '#kpatch/provenance/statement.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { attest, statementOf } from './attest.ts';
import { FakeMachine, RELEASE } from './fake.ts';
import { install, makeProofKey, prove, revoke, setPolicy, type TestKey } from './trust.ts';

const report = silentReporter();
const program = join(import.meta.dirname, '../../../../bin/kpatch');
const BUILDER = 'https://example.org/builders/1';

/** A machine that asks for provenance, and the key of the builder that it trusts. */
function strict(rules: object = {}): { machine: FakeMachine; key: TestKey; [Symbol.dispose](): void } {
  const machine = new FakeMachine();
  const key = makeProofKey(machine, 'builder');
  setPolicy(machine, { provenance: { required: true, keys: [key.name], ...rules } });
  return { machine, key, [Symbol.dispose]: () => machine.dispose() };
}

type Change = (statement: ProvenanceStatement) => void;
type Forge = (file: string, key: TestKey, machine: FakeMachine) => Promise<void> | void;
const changed =
  (change: Change): Forge =>
  (file, key) =>
    attest(file, key, change);
const envelopeOf = (file: string): { payload: string; signatures: { keyid?: string; sig: string }[] } =>
  JSON.parse(readFileSync(provenancePath(file), 'utf8')) as ReturnType<typeof envelopeOf>;

/** Each ends with `policy-refused`: nothing is installed, and the journal names it. */
const forgeries: Readonly<Record<string, Forge>> = {
  'no provenance at all': () => undefined,
  'a statement that nobody signed': (file) => attest(file, undefined),
  'a statement signed with another key': (file, _, machine) => attest(file, makeProofKey(machine, 'other')),
  'a statement signed with the key of proofs, which may not vouch for builds': (file, _, machine) => {
    const proofs = makeProofKey(machine, 'proofs');
    setPolicy(machine, {
      proof: { keys: [proofs.name] },
      provenance: { required: true, keys: ['keys/builder.pub'] },
    });
    prove(file, proofs);
    return attest(file, proofs);
  },
  'a signed statement of another module': async (file, key, machine) => {
    const other = machine.module({ name: 'other' });
    await attest(other, key);
    copyFileSync(provenancePath(other), provenancePath(file));
  },
  'a signed statement with these bytes, for another kernel': changed(({ predicate }) => {
    predicate.buildDefinition.externalParameters.release = '6.1.0-57-amd64';
  }),
  'a signed statement with these bytes, from another patch': changed(({ predicate }) => {
    predicate.buildDefinition.resolvedDependencies[0]!.digest = { sha256: '9'.repeat(64) };
  }),
  'a statement whose payload was changed after it was signed': async (file, key) => {
    await attest(file, key);
    const envelope = envelopeOf(file);
    const text = Buffer.from(envelope.payload, 'base64').toString('utf8').replace('"sandbox":true', '"sandbox":null');
    writeFileSync(provenancePath(file), JSON.stringify({ ...envelope, payload: Buffer.from(text).toString('base64') }));
  },
  'the signature of a good statement beside one without a key identity': async (file, key) => {
    await attest(file, key);
    const { signatures } = envelopeOf(file);
    await attest(file, undefined, ({ predicate }) => {
      predicate.runDetails.builder.id = 'https://example.org/builders/evil';
    });
    const forged = { ...envelopeOf(file), signatures: signatures.map(({ sig }) => ({ sig })) };
    writeFileSync(provenancePath(file), JSON.stringify(forged));
  },
  'an envelope that has its payload twice': async (file, key) => {
    await attest(file, key);
    const text = readFileSync(provenancePath(file), 'utf8');
    writeFileSync(provenancePath(file), text.replace('{', '{"payload":"e30=",'));
  },
  'a builder that the policy does not name': changed(({ predicate }) => {
    predicate.runDetails.builder.id = 'https://example.org/builders/2';
  }),
  'a build outside of the sandbox': changed(({ predicate }) => {
    predicate.buildDefinition.internalParameters.sandbox = false;
  }),
  'a statement that leaves out the kernel image': changed(({ predicate }) => {
    predicate.buildDefinition.resolvedDependencies = predicate.buildDefinition.resolvedDependencies.filter(
      ({ annotations }) => annotations?.role !== 'kernel image',
    );
  }),
  'a statement that names the kernel image without a digest': changed(({ predicate }) => {
    delete predicate.buildDefinition.resolvedDependencies.find(({ name }) => name === 'vmlinuz')!.digest;
  }),
  'a file of 40 MiB': (file) => writeFileSync(provenancePath(file), Buffer.alloc(40 << 20, '{')),
  'members nested 200,000 deep, which the form does not know': async (file, key) => {
    await attest(file, key, (statement) => {
      const deep = JSON.parse(`${'['.repeat(200)}${']'.repeat(200)}`) as object;
      Object.assign(statement, { deep });
    });
    const envelope = envelopeOf(file);
    const text = Buffer.from(envelope.payload, 'base64').toString('utf8');
    const deeper = text.replace('"deep":', `"deep":${'['.repeat(200_000)}${']'.repeat(200_000)},"other":`);
    const payload = Buffer.from(deeper).toString('base64');
    writeFileSync(provenancePath(file), JSON.stringify({ ...envelope, signatures: [], payload }));
  },
};

for (const [how, forge] of Object.entries(forgeries)) {
  attack({ area: 'provenance', attacker: 'mirror', how: `the policy demands provenance: ${how}` }, async () => {
    using given = strict({ builders: [BUILDER], materials: ['patch', 'kernel image'], sandbox: true });
    const { machine, key } = given;
    const file = machine.module({ name: 'one', manifest: { patches: [{ name: 'a.patch', sha256: '1'.repeat(64) }] } });
    await forge(file, key, machine);
    const refusal = await provokes('policy-refused', () => install(machine, file));
    await provokes('policy-refused', () => loadModule(machine, readModuleFile(file), {}, report));
    assert.deepEqual([installedPatches(machine, RELEASE), machine.names()], [[], []]);
    assert.ok(machine.journal.some((entry) => entry.KPATCH_ERROR === 'policy-refused'));
    return refusal;
  });
}

test('a statement that meets every rule is accepted, kept in the store, checked at boot, and kept for a rollback', async () => {
  using given = strict({ builders: [BUILDER], materials: ['patch', 'kernel image'], sandbox: true });
  const { machine, key } = given;
  const fields = { manifest: { patches: [{ name: 'a.patch', sha256: '1'.repeat(64) }] } };
  const one = machine.module({ name: 'one', ...fields });
  await attest(one, key);
  await install(machine, one);
  const [first] = installedPatches(machine, RELEASE);
  assert.deepEqual(readFileSync(provenancePath(first!.path)), readFileSync(provenancePath(one)));
  assert.deepEqual(first!.acceptance?.keys, [key.id]);
  machine.reboot();
  assert.equal((await loadAll(machine, { guarded: true }, report)).loads.length, 1);

  const two = machine.module({ name: 'two', manifest: { ...fields.manifest, version: 2 } });
  await attest(two, key);
  await install(machine, two);
  assert.ok(!existsSync(provenancePath(first!.path)), 'the statement of a replaced patch goes with it');
  const [second] = installedPatches(machine, RELEASE);
  const to = { ...first!, path: join(machine.store, RELEASE, '.previous/one.ko') };
  await rollBack(machine, { release: RELEASE, from: 'two', to, installed: true }, {}, report);
  assert.deepEqual(
    installedPatches(machine, RELEASE).map(({ name }) => name),
    ['one'],
  );
  assert.ok(!existsSync(provenancePath(second!.path)));
  await uninstallPatch(machine, 'one', {}, report);
  assert.ok(!existsSync(provenancePath(first!.path)));
});

test('the statement is lost from the store: the patch does not load at the next boot, and says why', async () => {
  using given = strict();
  const { machine, key } = given;
  const file = machine.module({ name: 'one' });
  await attest(file, key);
  await install(machine, file);
  rmSync(provenancePath(installedPatches(machine, RELEASE)[0]!.path));
  machine.reboot();
  const { failures, loads } = await loadAll(machine, { guarded: true }, report);
  assert.deepEqual([loads.length, failures[0]?.error.code], [0, 'policy-refused']);
  assert.match(failures[0]!.error.message, /it has no provenance/);
});

attack(
  { area: 'provenance', attacker: 'supply chain', how: 'the key of a builder leaked and was revoked' },
  async () => {
    using given = strict();
    const { machine, key } = given;
    const file = machine.module({ name: 'one' });
    await attest(file, key);
    revoke(machine, key.id);
    return await provokes('key-revoked', () => install(machine, file));
  },
);

test('without a rule a store and a module without provenance work as before; a statement that does not fit is left behind', async () => {
  using machine = new FakeMachine();
  const key = makeProofKey(machine, 'builder');
  const file = machine.module({ name: 'one' });
  await attest(file, key, ({ subject }) => {
    subject[0]!.digest.sha256 = '0'.repeat(64);
  });
  await install(machine, file);
  const [patch] = installedPatches(machine, RELEASE);
  assert.ok(!existsSync(provenancePath(patch!.path)));
  assert.match(machine.journal.map(({ MESSAGE }) => MESSAGE).join('\n'), /provenance of one does not count/);
  machine.reboot();
  assert.equal((await loadAll(machine, { guarded: true }, report)).loads.length, 1);
});

test('a policy that requires provenance names keys, and knows the kinds of inputs', async () => {
  using machine = new FakeMachine();
  const key = makeProofKey(machine, 'builder');
  for (const [rules, expected] of [
    [{ required: true }, /provenance\.keys: name at least one key/],
    [{ required: true, keys: [key.name], materials: ['everything'] }, /materials\[0\]: must be one of patch/],
    [{ require: true }, /"require" is not known/],
  ] as const) {
    setPolicy(machine, { provenance: rules });
    const error = await provokes('policy-unusable', () => install(machine, machine.module({ name: 'one' })));
    assert.match(error.message, expected);
  }
});

test('kpatch verify takes the name of an installed patch, with the keys of the policy', async () => {
  using machine = new FakeMachine();
  const root = join(machine.folder, 'root');
  const folder = join(root, 'var/lib/kpatch', RELEASE);
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(root, 'etc/kpatch/keys'), { recursive: true });
  const key = makeProofKey(machine, 'builder');
  copyFileSync(key.pub, join(root, 'etc/kpatch', key.name));
  const rules = { proof: { keys: [key.name] }, provenance: { keys: [key.name] } };
  writeFileSync(
    join(root, 'etc/kpatch/host-policy.json'),
    JSON.stringify({ schema: 'kpatch.host-policy/1', ...rules }),
  );
  const file = machine.module({ name: 'one' });
  prove(file, key);
  await attest(file, key);
  const command = (...args: string[]) => run(program, [...args, '--root', root, '--json'], {});
  assert.equal((await command('install', file, '-k', RELEASE)).status, 0);
  const links = async (): Promise<string[]> => {
    const { stdout } = await command('verify', 'one', '-k', RELEASE);
    const { modules } = JSON.parse(stdout.toString()) as { modules: { links: { link: string; state: string }[] }[] };
    return modules[0]!.links.map(({ link, state }) => `${link}: ${state}`);
  };
  const expected = ['module signature: missing', 'provenance: verified', 'proof: verified', 'test result: missing'];
  assert.deepEqual(await links(), expected);
  writeFileSync(join(folder, 'one.provenance.json'), '{}');
  assert.equal((await links())[1], 'provenance: broken');
  for (const name of ['two', './one.ko']) assert.notEqual((await command('verify', name, '-k', RELEASE)).status, 0);
  writeFileSync(join(folder, 'one.ko'), 'something else');
  const damaged = await command('verify', 'one', '-k', RELEASE);
  assert.match(damaged.stdout.toString(), /store-damaged/);
});

test('the statement of the tests is about its module', async () => {
  using machine = new FakeMachine();
  const statement = await statementOf(machine.module({ name: 'one' }));
  assert.equal(statement.predicate.buildDefinition.externalParameters.name, 'one');
});
