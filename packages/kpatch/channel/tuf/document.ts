/**
 * The form of TUF metadata, checked before the library sees it. The library follows the specification; this adds what it
 * leaves open: members that occur twice, key names that are not the digest of the key, one key under two names (it would
 * count twice towards a threshold), and the channel that the metadata is for.
 */
import { failure } from '../../base/errors/error.ts';
import { list, number, object, type Plain, text } from '../../base/plain.ts';
import { parseStrict } from '../../base/strict-json.ts';
import { ed25519Id } from './key.ts';

export const roles = ['root', 'timestamp', 'snapshot', 'targets'] as const;
export type Role = (typeof roles)[number];

/** The member of signed metadata that belongs to kpatch. The specification lets a repository add members. */
export const ownMember = 'x-kpatch';

/** Largest metadata files, in bytes. A file of 50 kernels is about 200 KB. */
export const metadataLimits: Readonly<Record<Role, number>> = {
  root: 256 << 10,
  timestamp: 16 << 10,
  snapshot: 64 << 10,
  targets: 4 << 20,
};
/** Largest number of targets: the library's work grows with its square, and this many take seconds. Enough for 240 kernels. */
const MOST_TARGETS = 1500;
const MOST_REVOKED = 1000;
/** Largest target file, in bytes. A livepatch module is smaller than 16 MiB. */
export const TARGET_LIMIT = 64 << 20;

/** A path of a target: two or three plain names. No `..`, no hidden file, nothing that a URL encodes. */
const targetPath = /^[A-Za-z0-9][\w.+~-]{0,127}(?:\/[A-Za-z0-9][\w.+~-]{0,127}){0,2}$/;

/** True for a path that a target can have. */
export function isTargetPath(path: string): boolean {
  return targetPath.test(path) && path.length <= 300;
}

/**
 * Checks metadata that nothing has verified yet. `channel` is the channel that the machine follows; undefined for a first
 * root. Gives the signed part. Errors: `tuf-malformed`, `tuf-wrong-channel`.
 */
export function checkDocument(bytes: Uint8Array, role: Role, channel: string | undefined, file: string): Plain {
  const bad = (problem: string): Error => failure('tuf-malformed', { file, problem }, { where: { file } });
  let document: Plain;
  try {
    document = object(parseStrict(Buffer.from(bytes).toString('utf8')));
  } catch (error) {
    throw bad(error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message);
  }
  const signed = object(document.signed);
  if (signed._type !== role) throw bad(`it is not ${role} metadata`);
  const problem = commonProblem(signed) ?? (role === 'root' ? rootProblem(signed) : undefined);
  if (problem !== undefined) throw bad(problem);
  const targets = role === 'targets' ? targetsProblem(signed) : undefined;
  if (targets !== undefined) throw bad(targets);
  const named = channelOf(signed);
  if (named === '') throw bad(`it does not name its channel (${ownMember}.channel)`);
  if (channel !== undefined && named !== channel) throw failure('tuf-wrong-channel', { file, named, channel });
  return signed;
}

/** The channel that signed metadata names; empty if none. */
export function channelOf(signed: Plain): string {
  return text(object(signed[ownMember]).channel) ?? '';
}

function commonProblem(signed: Plain): string | undefined {
  const version = number(signed.version);
  if (version === undefined || !Number.isSafeInteger(version) || version < 1 || version > 2 ** 31 - 1)
    return 'its version is not a whole number from 1 to 2147483647';
  const expires = text(signed.expires) ?? '';
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/.test(expires) || Number.isNaN(Date.parse(expires)))
    return 'its expiry is not a UTC time such as 2027-01-31T00:00:00Z';
  if (!/^1\.\d+(?:\.\d+)?$/.test(text(signed.spec_version) ?? '')) return 'its version of the specification is not 1.x';
  return undefined;
}

/** Keys and thresholds of a root. */
function rootProblem(signed: Plain): string | undefined {
  if (signed.consistent_snapshot !== true) return 'it does not use consistent snapshots';
  const keys = object(signed.keys);
  for (const [id, value] of Object.entries(keys)) {
    const key = object(value);
    const hex = text(object(key.keyval).public) ?? '';
    if (key.keytype !== 'ed25519' || key.scheme !== 'ed25519' || !/^[0-9a-f]{64}$/.test(hex))
      return `the key ${id.slice(0, 16)} is not an Ed25519 key`;
    // The name of a key is the digest of the key, so one key cannot have two names and count twice.
    if (ed25519Id(hex) !== id) return `the key ${id.slice(0, 16)} does not have the name that follows from it`;
  }
  const named = object(signed.roles);
  for (const role of roles) {
    const { keyids, threshold } = object(named[role]);
    const ids = list(keyids);
    const least = number(threshold) ?? 0;
    if (new Set(ids).size !== ids.length) return `the role ${role} names a key twice`;
    if (!ids.every((id) => typeof id === 'string' && Object.hasOwn(keys, id)))
      return `the role ${role} names a key that is not there`;
    if (!Number.isInteger(least) || least < 1 || least > ids.length)
      return `the threshold of the role ${role} is not from 1 to ${ids.length}`;
  }
  // The host policy reads the list, and takes no longer one.
  if (list(object(signed[ownMember]).revoked).length > MOST_REVOKED) return `it revokes more than ${MOST_REVOKED} keys`;
  return Object.keys(named).length === roles.length ? undefined : 'it has a role that is not known';
}

function targetsProblem(signed: Plain): string | undefined {
  if (signed.delegations !== undefined) return 'it delegates; a channel has one targets role';
  const targets = Object.entries(object(signed.targets));
  if (targets.length > MOST_TARGETS) return `it has more than ${MOST_TARGETS} targets`;
  for (const [path, value] of targets) {
    if (!isTargetPath(path)) return `${JSON.stringify(path.slice(0, 80))} is not the path of a target`;
    const { length, hashes } = object(value);
    const size = number(length) ?? -1;
    if (!Number.isSafeInteger(size) || size < 0 || size > TARGET_LIMIT) return `the length of ${path} is not allowed`;
    if (!/^[0-9a-f]{64}$/.test(text(object(hashes).sha256) ?? '')) return `${path} has no SHA-256`;
  }
  return undefined;
}
