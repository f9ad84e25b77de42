/** A channel and a machine that follows it by TUF, for attacks. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#kpatch/base/digest.ts';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import type { KpatchError } from '#kpatch/base/errors/error.ts';
import { type TemporaryFolder, temporaryFolder } from '#kpatch/base/files.ts';
import { update } from '#kpatch/channel/follow/follow.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { followTuf } from '#kpatch/channel/follow/tuf/follow.ts';
import type { Role } from '#kpatch/channel/tuf/document.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { provokes } from '../provoke.ts';
import { moduleName } from './module-file.ts';
import { running } from './publisher.ts';
import { resign, TufChannel, urlOf } from './tuf-channel.ts';

/** A channel and an image that follows it. */
export interface Scene extends Disposable {
  readonly folder: string;
  readonly channel: TufChannel;
  /** An image that follows the channel and has its first patch. */
  readonly root: string;
  /** Adds version 2 of the patch, publishes, and gives a copy of the publication to change. */
  second(): Promise<string>;
  /** The machine updates from what the channel publishes now. */
  follow(): Promise<Awaited<ReturnType<typeof update>>>;
  /** The owner publishes a root with new keys of these roles. */
  rotate(...roles: readonly Role[]): Promise<void>;
  /** Updates from a tree; the machine must refuse it and keep what it has. */
  refuses(code: ErrorCode, tree: string): Promise<KpatchError>;
}

/** The patches that an image has installed. */
export const patches = (root: string): string[] => installedPatches(thisMachine(root), running).map(({ name }) => name);

/** A channel with one publication, and an image that follows it. */
export async function scene(): Promise<Scene> {
  const folder: TemporaryFolder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  await channel.publish();
  const root = join(folder.path, 'image');
  for (const path of ['boot', 'etc', 'var/lib']) mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, 'boot', `vmlinuz-${running}`), '');
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  writeSettings(root, { mode: 'auto' });
  await update(root);
  assert.deepEqual(patches(root), [moduleName(running, 1)]);
  return {
    folder: folder.path,
    channel,
    root,
    async second() {
      channel.add({ version: 2 });
      return channel.copy(await channel.publish());
    },
    async follow() {
      writeSettings(root, { url: urlOf(await channel.publish()) });
      return await update(root);
    },
    async rotate(...roles) {
      for (const role of roles) channel.newKey(`${role}2`);
      await channel.root(Object.fromEntries(roles.map((role) => [role, [`${role}2`]])));
      channel.online = channel.online.map((name) => (roles.some((role) => role === name) ? `${name}2` : name));
    },
    async refuses(code, tree) {
      writeSettings(root, { url: urlOf(tree) });
      const error = await provokes(code, () => update(root));
      assert.deepEqual(patches(root), [moduleName(running, 1)], 'the machine keeps what it had');
      return error;
    },
    [Symbol.dispose]: () => folder.dispose(),
  };
}

/** The file of a tree with the newest version of a role. */
export function newest(tree: string, role: Role): string {
  if (role === 'timestamp') return join(tree, 'tuf/timestamp.json');
  const versions = readdirSync(join(tree, 'tuf')).flatMap(
    (name) => new RegExp(`^(\\d+)\\.${role}\\.json$`).exec(name)?.[1] ?? [],
  );
  return join(tree, 'tuf', `${Math.max(...versions.map(Number))}.${role}.json`);
}

/** Gives the metadata of a role another version, signed with the key of the role. */
export async function renumber(tree: string, channel: TufChannel, role: Role, version: number): Promise<void> {
  await resign(newest(tree, role), role, (signed) => Object.assign(signed, { version }), [channel.key(role)]);
}

/** Puts a digest of a changed file into the metadata that lists it, and signs that with the keys of snapshot and timestamp. */
export async function relist(tree: string, channel: TufChannel): Promise<void> {
  const list = async (role: 'snapshot' | 'timestamp', listed: Role, name: string): Promise<void> => {
    const bytes = readFileSync(newest(tree, listed));
    const version = (JSON.parse(bytes.toString()) as { signed: { version: number } }).signed.version;
    const change = (signed: Record<string, unknown>): void => {
      signed.meta = { [name]: { version, length: bytes.length, hashes: { sha256: sha256(bytes) } } };
    };
    await resign(newest(tree, role), role, change, [channel.key(role)]);
  };
  await list('snapshot', 'targets', 'targets.json');
  await list('timestamp', 'snapshot', 'snapshot.json');
}
