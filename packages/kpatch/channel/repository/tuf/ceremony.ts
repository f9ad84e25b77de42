/**
 * Signing where a key is, and collecting: `kpatch channel root` and `kpatch channel targets` write what is to be signed,
 * `signFile` runs on the machine of a key, `importSignatures` on that of the publisher.
 */
import { existsSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Metadata } from '@tufjs/models';
import { failure } from '../../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../../base/files.ts';
import { object, parseJSON, readJSON, text } from '../../../base/plain.ts';
import { type DocumentOf, formProblem } from '../../../documents/form.ts';
import { checkDocument, ownMember } from '../../tuf/document.ts';
import { type PassphraseOf, readTufPrivateKey, signBytes } from '../../tuf/key.ts';
import { metadataOf, metadataText, missingSignatures, models, type Signed } from '../../tuf/metadata.ts';
import { listedPatches } from '../../tuf/target.ts';
import { layout } from '../config.ts';
import { newestRoot, pendingRoot, type RootSummary, summaryOf } from './root.ts';
import { pendingTargets } from './targets.ts';

export const signatureSchema = 'kpatch.tuf-signature/1';

/** Roles whose keys may be on machines of their own. */
export type OfflineRole = 'root' | 'targets';

/** A module in a list that waits for a signature, for people. */
export interface ListedModule {
  readonly release: string;
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

/** What a file that waits for signatures says. */
export type Summary = {
  readonly role: OfflineRole;
  readonly channel: string;
  readonly version: number;
  readonly expires: string;
} & (
  | ({ readonly role: 'root' } & RootSummary)
  | { readonly role: 'targets'; readonly modules: readonly ListedModule[] }
);

/** What a file says, for the person who signs it. Errors: `file-unreadable`, `tuf-malformed`, `tuf-record`. */
export async function summarize(file: string): Promise<Summary> {
  const bytes = readBytes(file);
  if (roleOf(bytes, file) === 'root') return { role: 'root', ...(await summaryOf(file)) };
  const signed = checkDocument(bytes, 'targets', undefined, file);
  const modules = [...listedPatches(signed).values()].flat().map((patch) => ({
    release: patch.release,
    name: patch.name,
    version: `${patch.version}-${patch.packageRelease}`,
    sha256: patch.file.sha256,
  }));
  const channel = text(object(signed[ownMember]).channel) ?? '';
  return { role: 'targets', channel, version: Number(signed.version), expires: text(signed.expires) ?? '', modules };
}

/** Which role a file is of; anything but targets is treated as a root, whose check names the fault. */
function roleOf(bytes: Uint8Array, file: string): OfflineRole {
  try {
    return object(object(parseJSON(Buffer.from(bytes), file)).signed)._type === 'targets' ? 'targets' : 'root';
  } catch {
    return 'root';
  }
}

/**
 * Signs a file with a key, on whatever machine the key is; gives the file with the signature.
 * Errors: `file-unreadable`, `tuf-malformed`, `tuf-record`, `tuf-key`, `tuf-passphrase`.
 */
export async function signFile(file: string, keyFile: string, passphraseOf?: PassphraseOf): Promise<string> {
  const { role, channel, version } = await summarize(file);
  const key = readTufPrivateKey(keyFile, passphraseOf);
  const metadata = await metadataOf(role, readBytes(file));
  // This machine knows no root that says whose signature counts: the import at the publisher decides.
  let signature = '';
  const { Signature } = await models();
  metadata.sign((bytes) => {
    signature = signBytes(bytes, key);
    return new Signature({ keyID: key.id, sig: signature });
  });
  const target = join(file, '..', `${basename(file)}.${key.id.slice(0, 12)}.sig`);
  const document = { schema: signatureSchema, role, channel, version, key: key.id, signature };
  writeAtomically(target, `${JSON.stringify(document, null, 1)}\n`);
  return target;
}

export interface Ceremony {
  readonly role: OfflineRole;
  readonly version: number;
  readonly complete: boolean;
  /** Signatures that are still missing: of a root, by keys of the root before and by its own; of targets, by the root's. */
  readonly missing: { readonly before: number; readonly own: number };
}

/**
 * Adds signatures to what waits for them. A root with enough of them is the channel's root; a list of targets with enough is
 * taken by the next publication. Errors: `tuf-root`, `tuf-signature-file`, `file-unreadable`.
 */
export async function importSignatures(folder: string, files: readonly string[]): Promise<Ceremony> {
  const given = files.map(readSignature);
  const role: OfflineRole = given[0]?.role === 'targets' ? 'targets' : 'root';
  const file = role === 'root' ? pendingRoot(folder) : pendingTargets(folder);
  if (!existsSync(file))
    throw failure('tuf-root', {
      problem: `no ${role} metadata waits for signatures; run \`kpatch channel ${role}\` first`,
    });
  const metadata: Metadata<Signed[OfflineRole]> = await metadataOf(role, readBytes(file));
  const before = await newestRoot(folder);
  const own = role === 'root' ? (metadata as Metadata<Signed['root']>) : undefined;
  const targetKeys = before?.signed.roles.targets?.keyIDs ?? [];
  const known =
    own === undefined
      ? Object.fromEntries(targetKeys.map((id) => [id, before!.signed.keys[id]]))
      : { ...before?.signed.keys, ...own.signed.keys };
  const { Signature } = await models();
  for (const one of given) {
    const bad = (problem: string): Error =>
      failure('tuf-signature-file', { file: one.file, problem }, { where: { file: one.file } });
    if ((one.role ?? 'root') !== role) throw bad(`it signs ${one.role ?? 'root'} metadata, the others ${role}`);
    if (one.version !== metadata.signed.version)
      throw bad(`it signs version ${one.version}, but version ${metadata.signed.version} waits`);
    const id = one.key;
    const signer = Object.hasOwn(known, id) ? known[id] : undefined;
    if (signer === undefined) throw bad(whose[role]);
    metadata.signatures[id] = new Signature({ keyID: id, sig: one.signature });
    try {
      signer.verifySignature(metadata);
    } catch {
      throw bad(`its signature is not over the pending ${role}`);
    }
  }
  const missing = {
    before: own === undefined || before === undefined ? 0 : missingSignatures(before, 'root', own),
    own: own === undefined ? missingSignatures(before!, 'targets', metadata) : missingSignatures(own, 'root', own),
  };
  const { version } = metadata.signed;
  const complete = missing.before === 0 && missing.own === 0;
  const isRoot = complete && role === 'root';
  writeAtomically(isRoot ? join(layout(folder).tuf, `${version}.root.json`) : file, metadataText(metadata));
  if (isRoot) rmSync(file);
  return { role, version, complete, missing };
}

type SignatureFile = DocumentOf<typeof signatureSchema> & { readonly file: string };

/** A file that `signFile` wrote. Errors: `file-unreadable`, `tuf-signature-file`. */
function readSignature(file: string): SignatureFile {
  const document = readJSON(file);
  const problem = formProblem(signatureSchema, document);
  if (problem !== undefined) throw failure('tuf-signature-file', { file, problem }, { where: { file } });
  return { file, ...(document as DocumentOf<typeof signatureSchema>) };
}

const whose: Readonly<Record<OfflineRole, string>> = {
  root: 'its key is neither in this root nor in the one before',
  targets: 'its key is not a key of targets in the newest root',
};
