/**
 * Makes and signs TUF metadata with @tufjs/models. The library is loaded here and in the client, when a command needs it:
 * `kpatch list`, help, completion and the boot never load it.
 */
import type { Key, Metadata, Root, Snapshot, Targets, Timestamp } from '@tufjs/models';
import { object, type Plain } from '../../base/plain.ts';
import { ownMember, type Role } from './document.ts';
import { signBytes, type TufPrivateKey, type TufPublicKey } from './key.ts';

export type Signed = { root: Root; timestamp: Timestamp; snapshot: Snapshot; targets: Targets };
type Models = typeof import('@tufjs/models');

export function models(): Promise<Models> {
  return import('@tufjs/models');
}

/** Seconds are enough, and the specification has no fractions. */
export function expiryText(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

/** Metadata out of its JSON. Throws whatever the library throws; check the document first. */
export async function metadataOf<R extends Role>(role: R, bytes: Uint8Array): Promise<Metadata<Signed[R]>> {
  const { Metadata: Made, MetadataKind } = await models();
  const kinds = {
    root: MetadataKind.Root,
    timestamp: MetadataKind.Timestamp,
    snapshot: MetadataKind.Snapshot,
    targets: MetadataKind.Targets,
  };
  const read = Made.fromJSON as (kind: unknown, data: unknown) => Metadata<Signed[R]>;
  return read(kinds[role], JSON.parse(Buffer.from(bytes).toString('utf8')));
}

/** What all roles have. */
export function commonOf(channel: string, version: number, expires: Date, own: Plain = {}) {
  return {
    version,
    specVersion: '1.0.31',
    expires: expiryText(expires),
    unrecognizedFields: { [ownMember]: { ...own, channel } as never },
  };
}

/** Signs with those of the keys that the role names; gives how many there were. */
export async function signWith<R extends Role>(
  metadata: Metadata<Signed[R]>,
  keys: readonly TufPrivateKey[],
): Promise<void> {
  const { Signature } = await models();
  for (const key of keys) {
    metadata.sign((bytes) => new Signature({ keyID: key.id, sig: signBytes(bytes, key) }));
  }
}

/** The text of a metadata file. */
export function metadataText(metadata: { toJSON(): object }): string {
  return `${JSON.stringify(metadata.toJSON(), null, 1)}\n`;
}

/** A key as the library has it. */
export async function keyOf({ id, hex }: TufPublicKey): Promise<Key> {
  const { Key: Made } = await models();
  return new Made({ keyID: id, keyType: 'ed25519', scheme: 'ed25519', keyVal: { public: hex } });
}

/** How many valid signatures a role's metadata lacks under a root; 0 if it is signed as the root demands. */
export function missingSignatures(root: Metadata<Root>, role: Role, metadata: Metadata<Signed[Role]>): number {
  const { keyIDs, threshold } = root.signed.roles[role]!;
  const valid = keyIDs.filter((id) => {
    try {
      root.signed.keys[id]?.verifySignature(metadata);
      return root.signed.keys[id] !== undefined;
    } catch {
      return false;
    }
  });
  return Math.max(0, threshold - new Set(valid).size);
}

/** The own member of signed metadata. */
export function ownOf(signed: { readonly unrecognizedFields: object }): Plain {
  return object(object(signed.unrecognizedFields)[ownMember]);
}
