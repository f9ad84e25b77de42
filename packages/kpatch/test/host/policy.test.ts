import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '#kpatch/base/run.ts';
import { admit } from '#kpatch/host/acceptance/acceptance.ts';
import { requireChannel, requireUpdate } from '#kpatch/host/acceptance/channel-rule.ts';
import { isUnattended } from '#kpatch/host/acceptance/origin.ts';
import { readPolicyState } from '#kpatch/host/acceptance/policy.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, RELEASE } from './fake.ts';
import { install, makeProofKey, proofOf, prove, revoke, setPolicy, strict } from './trust.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');

test('without a policy root can load any patch, and status says so', async () => {
  using machine = new FakeMachine();
  await install(machine, machine.module({ name: 'one' }));
  assert.deepEqual([statusOf(machine).policy.state, statusOf(machine).policy.alarms], ['none', []]);
});

test('a policy is used whole or not at all: each mistake says where it is', () => {
  using machine = new FakeMachine();
  const key = makeProofKey(machine, 'proofs');
  const problem = (text: string): string => {
    machine.set('etc/host-policy.json', text);
    const state = readPolicyState(machine);
    assert.equal(state.kind, 'unusable', text);
    return state.kind === 'unusable' ? state.problem : '';
  };
  const document = (members: object): string => JSON.stringify({ schema: 'kpatch.host-policy/1', ...members });
  for (const [text, expected] of [
    ['', /not JSON/],
    ['[]', /must be an object/],
    ['{}', /schema: must be "kpatch.host-policy\/1"/],
    ['{"schema":"kpatch.policy/1"}', /selects CVEs/],
    ['{"schema":"kpatch.host-policy/1","proof":{},"proof":{}}', /"proof" is there twice/],
    [document({ proof: { required: true } }), /proof\.keys: name at least one key/],
    [document({ proof: { required: 'yes', keys: [key.name] } }), /proof\.required: must be true or false/],
    [document({ proof: { maxAgeDay: 1 } }), /"maxAgeDay" is not known/],
    [document({ proof: { maxAgeDays: 0 } }), /whole number from 1/],
    [document({ proof: { keys: ['../../root/key'] } }), /below the policy's folder/],
    [document({ proof: { keys: ['/root/key'] } }), /below the policy's folder/],
    [document({ proof: { keys: ['keys/missing.pub'] } }), /does not exist/],
    [document({ proof: { keys: ['host-policy.json'] } }), /not a public key in PEM form/],
    [document({ proof: { keys: ['keys/proofs.key'] } }), /private key/],
    [document({ signature: { required: true } }), /signature\.certificates/],
    [document({ signature: { certificates: [key.name] } }), /cannot be used|is not usable|certificate/],
    [document({ update: 'sometimes' }), /update: must be one of/],
    [document({ revoked: true }), /revoked: must be one of/],
    [document({ channels: ['ftp://x'] }), /channels\[0\]: must be an address/],
    [document({ channels: {} }), /must be a list/],
  ] as const) {
    assert.match(problem(text), expected);
  }
  setPolicy(machine, {});
  assert.equal(readPolicyState(machine).kind, 'valid');
  for (const list of ['{', '{"schema":"kpatch.revoked-keys/1","keys":[{"key":"x"}]}', '{"keys":[]}']) {
    machine.set('etc/revoked-keys.json', list);
    assert.equal(readPolicyState(machine).kind, 'unusable');
  }
});

attack(
  {
    area: 'policy',
    attacker: 'local user',
    how: 'a policy that others may write, is a folder, a pipe or a link to nowhere useful',
  },
  async () => {
    using machine = new FakeMachine();
    const file = join(machine.etc, 'host-policy.json');
    setPolicy(machine, {});
    chmodSync(file, 0o666);
    const refusal = await provokes('policy-unusable', () => install(machine, machine.module({ name: 'one' })));
    rmSync(file);
    mkdirSync(file);
    assert.equal(readPolicyState(machine).kind, 'unusable');
    rmSync(file, { recursive: true });
    symlinkSync('/dev/zero', file);
    assert.equal(readPolicyState(machine).kind, 'unusable');
    return refusal;
  },
);

test('the old setting require_proof=yes is not lost: nothing new until a policy names the keys', async () => {
  using machine = new FakeMachine();
  machine.set('etc/channel.conf', 'url=https://example.org\nrequire_proof=yes\n');
  await provokes('policy-unusable', () => install(machine, machine.module({ name: 'one' })));
});

test('the channel can revoke keys, and cannot give any back', () => {
  using machine = new FakeMachine();
  revoke(machine, 'aa'.repeat(32));
  const list = { schema: 'kpatch.revoked-keys/1', keys: [{ key: 'bb'.repeat(32) }] };
  machine.set('store/channel/revoked-keys.json', JSON.stringify(list));
  assert.deepEqual(
    readPolicyState(machine).revoked.map(({ key }) => key.slice(0, 2)),
    ['aa', 'bb'],
  );
});

test('--require-proof asks for a key, of the policy or of the caller', async () => {
  using machine = new FakeMachine();
  const file = machine.module({ name: 'one' });
  writeFileSync(proofPath(file), JSON.stringify(proofOf(file)));
  await provokes('proof-key-missing', () => admit(machine, readModuleFile(file), { requireProof: true }));
  const key = makeProofKey(machine, 'proofs');
  prove(file, key);
  assert.ok(admit(machine, readModuleFile(file), { requireProof: true, proofKey: [key.pub] }).proof);
  setPolicy(machine, { proof: { keys: [key.name] } });
  assert.ok(admit(machine, readModuleFile(file), { requireProof: true }).proof);
});

attack(
  { area: 'policy', attacker: 'network', how: 'a machine is made to follow a channel that its policy does not name' },
  () => {
    using machine = new FakeMachine();
    setPolicy(machine, { channels: ['https://live.example.org/kpatch/'] });
    requireChannel(machine, 'https://live.example.org/kpatch');
    return provokes('channel-not-allowed', () => requireChannel(machine, 'https://evil.example.org/kpatch'));
  },
);

test('a timer does nothing where the policy says so; a person may', async () => {
  using machine = new FakeMachine();
  setPolicy(machine, { update: 'nothing' });
  await provokes('update-not-allowed', () => requireUpdate(machine, true));
  requireUpdate(machine, false);
  setPolicy(machine, { broken: 1 });
  await provokes('policy-unusable', () => requireChannel(machine, 'https://live.example.org'));
});

test('nobody sits in front of a unit, a package script or kpatch update', () => {
  assert.equal(isUnattended({ INVOCATION_ID: '1' }, false), true);
  assert.equal(isUnattended({ INVOCATION_ID: '1' }, true), false, 'a terminal of a desktop');
  assert.equal(isUnattended({ DPKG_MAINTSCRIPT_PACKAGE: 'x' }, true), true);
  assert.equal(isUnattended({ KPATCH_UPDATE: '1' }, true), true);
});

test('kpatch policy shows and checks the rules', async () => {
  using given = strict({ test: true });
  const { machine, key } = given;
  const image = join(machine.folder, 'image');
  const at = (path: string): string => join(image, path);
  mkdirSync(at('etc'), { recursive: true });
  mkdirSync(at('var/lib/kpatch'), { recursive: true });
  const kpatch = async (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> => {
    const { status, stdout, stderr } = await run(program, ['policy', ...args, '--root', image]);
    return { status, stdout: stdout.toString(), stderr };
  };
  assert.match((await kpatch('show')).stdout, /^policy +none .*using the defaults/m);
  assert.equal((await kpatch('check')).status, 0);
  cpSync(machine.etc, at('etc/kpatch'), { recursive: true });
  const shown = await kpatch('show');
  assert.match(shown.stdout, /^proof +required: plan quick or full, of any age, with the author's test$/m);
  assert.match(shown.stdout, new RegExp(`^trusted key +${key.id.slice(0, 16)}`, 'm'));
  const file = machine.module({ name: 'one' });
  const refused = await kpatch('check', file);
  assert.deepEqual([refused.status, /policy-refused/.test(refused.stderr)], [4, true]);
  prove(file, key);
  assert.equal((await kpatch('check', file)).stdout, 'one would be accepted\n');
  revoke(machine, key.id);
  copyFileSync(join(machine.etc, 'revoked-keys.json'), at('etc/kpatch/revoked-keys.json'));
  assert.match((await kpatch('show')).stdout, / REVOKED$/m);
  assert.equal((await kpatch('check', file)).status, 4);
  assert.equal((await kpatch('check')).status, 1);
  const other = join(machine.folder, 'other.json');
  writeFileSync(other, '{"schema":"kpatch.host-policy/1","updates":"fetch"}');
  const wrong = await kpatch('check', other);
  assert.match(wrong.stderr, /"updates" is not known/);
  copyFileSync(other, at('etc/kpatch/host-policy.json'));
  const broken = await kpatch('show', '--json');
  const document = JSON.parse(broken.stdout) as { schema: string; state: string };
  assert.deepEqual([broken.status, document.schema, document.state], [1, 'kpatch.policy-show/1', 'unusable']);
  assert.equal((await kpatch('check')).status, 1);
});

test('whatever stands in the policy, the list of revoked keys or the index: an answer, never a crash', () => {
  using machine = new FakeMachine();
  const key = makeProofKey(machine, 'proofs');
  const policy = {
    schema: 'kpatch.host-policy/1',
    proof: { required: true, keys: [key.name], plans: ['full'] },
    update: 'fetch',
  };
  const list = { schema: 'kpatch.revoked-keys/1', keys: [{ key: 'aa'.repeat(32), reason: 'x' }] };
  const acceptance = { policy: 'none', at: '2026-01-01T00:00:00Z', keys: [] };
  const entry = { name: 'one', file: 'one.ko', sha256: 'x', installed: '2026-01-01T00:00:00Z', acceptance };
  const index = { schema: 'kpatch.store/1', entries: [entry], unwanted: [{ name: 'a', sha256: 'b', at: 'c' }] };
  const odd: unknown[] = [null, true, -1, 0.5, '', 'x', '\u0000', [], [null], {}, { a: 1 }];
  for (const [file, document] of [
    ['etc/host-policy.json', policy],
    ['etc/revoked-keys.json', list],
    [`store/${RELEASE}/.index.json`, index],
  ] as const) {
    for (const changed of variants(document, odd)) {
      machine.set(file, JSON.stringify(changed));
      readPolicyState(machine);
      statusOf(machine);
    }
    machine.set(file, JSON.stringify(document));
  }
});

/** The document with each of its values replaced by each of the odd ones. */
function* variants(value: unknown, odd: readonly unknown[]): Iterable<unknown> {
  yield* odd;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value)) {
    for (const changed of variants(item, odd)) {
      yield Array.isArray(value) ? [changed] : { ...value, [name]: changed };
    }
  }
}
