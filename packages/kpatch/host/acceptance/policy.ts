/**
 * The host policy, `/etc/kpatch/host-policy.json`: what this machine accepts. Install and load read it themselves
 * (`acceptance.ts`), so that no command, package script or unit can leave it out.
 */
import type { X509Certificate } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { reasonOf } from '../../base/files.ts';
import { parseStrict } from '../../base/strict-json.ts';
import { FormError } from '../../documents/form.ts';
import { type PublicKey, publicKeyOf } from '../../module/public-key.ts';
import { certificateOf } from '../../module/signature.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { foreign } from '../machine/owner.ts';
import { type HostPolicy, policyOf, type RevokedKey, revokedKeysOf } from './policy-shape.ts';

/** The policy with everything it names, read and checked. */
export interface LoadedPolicy {
  readonly rules: HostPolicy;
  /** SHA-256 over the policy and every file it names: a changed key is a changed policy. */
  readonly digest: string;
  readonly proofKeys: readonly PublicKey[];
  /** Keys of builders. */
  readonly builderKeys: readonly PublicKey[];
  readonly certificates: readonly NamedCertificate[];
}

export interface NamedCertificate {
  readonly file: string;
  readonly certificate: X509Certificate;
}

/** What is known of the policy of a machine. */
export type PolicyState = (
  | { readonly kind: 'none' }
  | { readonly kind: 'valid'; readonly policy: LoadedPolicy }
  /** It is there and cannot be used: nothing new is accepted. */
  | { readonly kind: 'unusable'; readonly problem: string }
) & { readonly file: string; readonly revoked: readonly RevokedKey[] };

/** A policy is some lines; what is larger is something else. */
const MAX_BYTES = 1 << 20;

export function policyFile(machine: Machine): string {
  return join(machine.etc, 'host-policy.json');
}

/**
 * Where keys are listed that no longer count: by the administrator, and by the channel's root, which can only take away.
 */
export function revokedFiles(machine: Machine): string[] {
  return [join(machine.etc, 'revoked-keys.json'), join(machine.store, 'channel/revoked-keys.json')];
}

/** Reads the policy of a machine. Never throws: what cannot be used is a state of its own. */
export function readPolicyState(machine: Machine): PolicyState {
  const file = policyFile(machine);
  let revoked: RevokedKey[] = [];
  try {
    const path = foreign([machine.etc]);
    // Who can write there can take the policy away.
    if (path !== undefined) throw new FormError(`others than root can write to ${path} (chown root:, chmod go-w)`);
    revoked = revokedFiles(machine).flatMap((path) => {
      const bytes = trustedFile(path);
      return bytes === undefined ? [] : revokedKeysOf(jsonOf(bytes, path));
    });
    const bytes = trustedFile(file);
    if (bytes === undefined) return withoutPolicy(machine, file, revoked);
    return { kind: 'valid', file, revoked, policy: loadPolicy(policyOf(jsonOf(bytes, file)), bytes, machine.etc) };
  } catch (error) {
    return { kind: 'unusable', file, revoked, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Reads the policy in another file, for `kpatch policy check FILE`. Error: `policy-unusable`. */
export function readPolicyFile(file: string, folder: string): LoadedPolicy {
  try {
    const bytes = trustedFile(file);
    if (bytes === undefined) throw new FormError('there is no such file');
    return loadPolicy(policyOf(jsonOf(bytes, file)), bytes, folder);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw failure('policy-unusable', { file, problem }, { where: { file }, cause: error });
  }
}

/** Before there was a policy, packages asked for proofs where channel.conf said so: that must not be lost silently. */
function withoutPolicy(machine: Machine, file: string, revoked: readonly RevokedKey[]): PolicyState {
  const settings = join(machine.etc, 'channel.conf');
  if (!/^require_proof=yes$/m.test(attribute(settings) ?? '')) return { kind: 'none', file, revoked };
  const problem = `there is none, and ${settings} says require_proof=yes: write a policy that names the keys for proofs`;
  return { kind: 'unusable', file, revoked, problem };
}

function loadPolicy(rules: HostPolicy, bytes: Buffer, folder: string): LoadedPolicy {
  const digests = [sha256(bytes)];
  const named = <T>(files: readonly string[], read: (bytes: Buffer, file: string) => T): T[] =>
    files.map((name) => {
      const path = join(folder, name);
      const content = trustedFile(path);
      if (content === undefined) throw new FormError(`the file ${path} that it names does not exist`);
      digests.push(sha256(content));
      return read(content, path);
    });
  const proofKeys = named(rules.proof.keys, publicKeyOf);
  const builderKeys = named(rules.provenance.keys, publicKeyOf);
  const certificates = named(rules.signature.certificates, (content, file) => ({
    file,
    certificate: certificateOf(content, file),
  }));
  return { rules, digest: sha256(digests.join('\n')), proofKeys, builderKeys, certificates };
}

/** The bytes of a file that only root may write; `undefined` where there is none. Error: `FormError`. */
function trustedFile(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FormError(`${path} cannot be read: ${reasonOf(error)}`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new FormError(`${path} is not a regular file`);
    if (stat.size > MAX_BYTES) throw new FormError(`${path} is larger than 1 MiB`);
    if ((stat.mode & 0o022) !== 0) throw new FormError(`${path} can be written by others than its owner (chmod go-w)`);
    if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) throw new FormError(`${path} does not belong to root`);
    return readFileSync(fd);
  } catch (error) {
    throw error instanceof FormError ? error : new FormError(`${path} cannot be read: ${reasonOf(error)}`);
  } finally {
    closeSync(fd);
  }
}

function jsonOf(bytes: Buffer, file: string): unknown {
  try {
    return parseStrict(bytes.toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw new FormError(`${file}: ${(error as Error).message}`);
    throw new FormError(`${file} is not JSON: ${error.message}`);
  }
}
