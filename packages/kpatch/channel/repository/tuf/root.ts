/**
 * The root of a channel's TUF repository: which keys each role has, and how many must sign. Root keys stay on machines of
 * their own: `prepareRoot` writes what is to be signed; `ceremony.ts` signs and collects.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metadata, Root } from '@tufjs/models';
import { failure } from '../../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../../base/files.ts';
import { list, object, type Plain, text } from '../../../base/plain.ts';
import { publicKeyOf } from '../../../module/public-key.ts';
import { checkDocument, ownMember, type Role, roles } from '../../tuf/document.ts';
import { readTufPublicKey, type TufPublicKey } from '../../tuf/key.ts';
import { commonOf, keyOf, metadataOf, metadataText, models, ownOf } from '../../tuf/metadata.ts';
import { revokedOf } from '../../tuf/revoked.ts';
import { type ChannelConfig, layout } from '../config.ts';

/** A machine that was off for a year still follows the next root; a yearly ceremony has a month to spare. */
export const ROOT_DAYS = 400;

export interface RootChange {
  /** Files with public keys, for each role that changes. */
  readonly keys: Readonly<Partial<Record<Role, readonly string[]>>>;
  /** How many root keys must sign; as before unless given, else all but one, at least one. */
  readonly threshold?: number;
  readonly days: number;
  /** Public keys of modules and proofs that no longer count, with reasons. */
  readonly revoke: readonly { readonly file: string; readonly reason: string }[];
  readonly now: Date;
}

/** What is to be signed, for people. */
export interface RootSummary {
  readonly channel: string;
  readonly version: number;
  readonly expires: string;
  readonly roles: readonly { readonly role: Role; readonly threshold: number; readonly keys: readonly string[] }[];
  readonly revoked: readonly { readonly key: string; readonly reason: string }[];
}

export const pendingRoot = (folder: string): string => join(layout(folder).tuf, 'next.root.json');

/** The versions of the root that are complete, oldest first. */
export function rootVersions(folder: string): number[] {
  const { tuf } = layout(folder);
  const names = existsSync(tuf) ? readdirSync(tuf) : [];
  return names
    .flatMap((name) => /^(\d+)\.root\.json$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** The newest complete root; `undefined` for a channel without a TUF repository. */
export async function newestRoot(folder: string): Promise<Metadata<Root> | undefined> {
  const version = rootVersions(folder).at(-1);
  if (version === undefined) return undefined;
  const file = join(layout(folder).tuf, `${version}.root.json`);
  const bytes = readBytes(file);
  checkDocument(bytes, 'root', undefined, file);
  return metadataOf('root', bytes);
}

/** Writes the next root, to be signed; gives its path. Errors: `tuf-root`, `tuf-key`, `proof-key`, `file-unreadable`. */
export async function prepareRoot(folder: string, config: ChannelConfig, change: RootChange): Promise<string> {
  const before = await newestRoot(folder);
  const { Root: MadeRoot, Metadata: Made, Key } = await models();
  const expires = new Date(change.now.getTime() + change.days * 86_400_000);
  const version = (before?.signed.version ?? 0) + 1;
  const own = { revoked: revokedKeys(before, change) };
  const root = new MadeRoot({ ...commonOf(config.name, version, expires, own as Plain), consistentSnapshot: true });
  for (const { role, keys, threshold } of roleLists(before, change)) {
    for (const key of keys) root.addKey(key instanceof Key ? key : await keyOf(key), role);
    Object.assign(root.roles[role]!, { threshold });
  }
  const file = pendingRoot(folder);
  const content = metadataText(new Made(root));
  checkDocument(Buffer.from(content), 'root', config.name, file);
  mkdirSync(layout(folder).tuf, { recursive: true });
  writeAtomically(file, content);
  return file;
}

type RoleKeys = { role: Role; threshold: number; keys: (TufPublicKey | import('@tufjs/models').Key)[] };

function roleLists(before: Metadata<Root> | undefined, change: RootChange): RoleKeys[] {
  return roles.map((role) => {
    const given = change.keys[role]?.map(readTufPublicKey);
    const old = before?.signed.roles[role];
    const keys = given ?? old?.keyIDs.map((id) => before!.signed.keys[id]!) ?? [];
    if (keys.length === 0) throw failure('tuf-root', { problem: `the role ${role} has no key (--${role}-key FILE)` });
    if (role !== 'root') return { role, threshold: 1, keys };
    const threshold =
      change.threshold ?? (given === undefined ? old?.threshold : undefined) ?? Math.max(1, keys.length - 1);
    if (threshold < 1 || threshold > keys.length)
      throw failure('tuf-root', { problem: `the threshold is ${threshold}, but there are ${keys.length} root keys` });
    return { role, threshold, keys };
  });
}

/** What was revoked stays so. */
function revokedKeys(before: Metadata<Root> | undefined, change: RootChange): { key: string; reason: string }[] {
  const old = before === undefined ? [] : revokedOf(ownOf(before.signed));
  const more = change.revoke.map(({ file, reason }) => ({ key: publicKeyOf(readBytes(file), file).id, reason }));
  return [...old.filter(({ key }) => !more.some((one) => one.key === key)), ...more];
}

/** What a root says, for the person who signs it. Errors: `file-unreadable`, `tuf-malformed`. */
export async function summaryOf(file: string): Promise<RootSummary> {
  const signed = checkDocument(readBytes(file), 'root', undefined, file);
  const named = object(signed.roles);
  return {
    channel: text(object(signed[ownMember]).channel) ?? '',
    version: Number(signed.version),
    expires: text(signed.expires) ?? '',
    roles: roles.map((role) => ({
      role,
      threshold: Number(object(named[role]).threshold),
      keys: list(object(named[role]).keyids).map(String),
    })),
    revoked: revokedOf(object(signed[ownMember])),
  };
}

/** All complete roots with their file names, as machines fetch them. */
export function rootFiles(folder: string): Map<string, Buffer> {
  return new Map(
    rootVersions(folder).map((version) => {
      const name = `${version}.root.json`;
      return [name, readFileSync(join(layout(folder).tuf, name))];
    }),
  );
}
