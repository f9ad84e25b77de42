/** Keys, proofs and a host policy for tests of what a machine accepts. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#kpatch/base/digest.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { type InstallOptions, installModule } from '#kpatch/host/store/install.ts';
import { type Proof, signProof } from '#kpatch/module/proof.ts';
import { proofPath } from '#kpatch/module/proof-path.ts';
import { readPublicKey } from '#kpatch/module/public-key.ts';
import { FakeMachine, type ModuleFields, RELEASE } from './fake.ts';

export interface TestKey {
  /** Files of the private and the public part. */
  readonly key: string;
  readonly pub: string;
  /** As a policy names it, below its folder. */
  readonly name: string;
  readonly id: string;
}

/** An Ed25519 key pair in a folder: `NAME.key` and `NAME.pub`. */
export function proofKeyPair(folder: string, name: string): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const [key, pub] = [join(folder, `${name}.key`), join(folder, `${name}.pub`)];
  writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { key, pub, name: `keys/${name}.pub`, id: readPublicKey(pub).id };
}

/** The same in the machine's `/etc/kpatch/keys`. */
export function makeProofKey(machine: FakeMachine, name: string): TestKey {
  mkdirSync(join(machine.etc, 'keys'), { recursive: true });
  return proofKeyPair(join(machine.etc, 'keys'), name);
}

/** Writes the policy; what is not given is as in the least strict one that has a policy at all. */
export function setPolicy(machine: FakeMachine, members: object): void {
  const file = join(machine.etc, 'host-policy.json');
  machine.set('etc/host-policy.json', JSON.stringify({ schema: 'kpatch.host-policy/1', ...members }));
  chmodSync(file, 0o644);
}

/** Writes `/etc/kpatch/revoked-keys.json`. */
export function revoke(machine: FakeMachine, ...keys: readonly string[]): void {
  const list = { schema: 'kpatch.revoked-keys/1', keys: keys.map((key) => ({ key, reason: 'leaked' })) };
  machine.set('etc/revoked-keys.json', JSON.stringify(list));
}

/** The proof of a module file, whole and good; `changes` make it less so. */
export function proofOf(module: string, changes: Partial<Proof> = {}): Proof {
  const held = (check: string): Proof['checks'][number] => ({
    check: `stock/${check}`,
    boot: 'stock',
    title: check,
    outcome: 'held',
    evidence: [],
    ms: 1,
  });
  return {
    schema: 'kpatch.proof/1',
    verdict: 'proven',
    reasons: [],
    plan: 'full',
    module: { name: 'one', file: 'one.ko', sha256: sha256(readFileSync(module)) },
    kernel: { release: RELEASE, image: '0'.repeat(64) },
    inputs: [{ role: 'test', name: 'one.test.sh', sha256: '1'.repeat(64) }],
    tool: 'kpatch test',
    qemu: 'none',
    made: '2026-01-01T00:00:00.000Z',
    checks: [held('loads'), held('test-before'), held('test-with')],
    boots: [],
    ms: 1,
    ...changes,
  };
}

/** Writes a signed proof beside a module file. */
export function prove(module: string, { key }: TestKey, changes: Partial<Proof> = {}): void {
  writeFileSync(proofPath(module), `${JSON.stringify(signProof(proofOf(module, changes), key), null, 1)}\n`);
}

/** A machine that asks for signed proofs, and the key that it trusts. */
export function strict(rules: object = {}): { machine: FakeMachine; key: TestKey; [Symbol.dispose](): void } {
  const machine = new FakeMachine();
  const key = makeProofKey(machine, 'proofs');
  setPolicy(machine, { proof: { required: true, keys: [key.name], ...rules } });
  return { machine, key, [Symbol.dispose]: () => machine.dispose() };
}

/** A module file with a good proof. */
export function proven(machine: FakeMachine, key: TestKey, fields: ModuleFields = { name: 'one' }): string {
  const file = machine.module(fields);
  prove(file, key);
  return file;
}

/** Installs a module file as an administrator does. */
export function install(machine: FakeMachine, file: string, options: InstallOptions = {}): Promise<unknown> {
  return installModule(machine, file, { unattended: false, ...options }, silentReporter());
}
