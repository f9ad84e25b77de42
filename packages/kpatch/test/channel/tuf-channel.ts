/** A channel's TUF repository for tests, with all its keys, and without the apt and dnf repositories beside it. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { recordOf } from '#kpatch/channel/package/record.ts';
import { readPatchModule } from '#kpatch/channel/patch-module.ts';
import { type ChannelConfig, channelSchema, writeConfig } from '#kpatch/channel/repository/config.ts';
import { type ChannelKernel, kernelSchema, type PublishedPatch } from '#kpatch/channel/repository/kernel.ts';
import type { Publication } from '#kpatch/channel/repository/publication.ts';
import { importSignatures, signFile } from '#kpatch/channel/repository/tuf/ceremony.ts';
import { keepModule } from '#kpatch/channel/repository/tuf/modules.ts';
import { writeTuf } from '#kpatch/channel/repository/tuf/repository.ts';
import { prepareRoot, type RootChange } from '#kpatch/channel/repository/tuf/root.ts';
import type { Role } from '#kpatch/channel/tuf/document.ts';
import { makeTufKey, readTufPrivateKey, type TufPrivateKey } from '#kpatch/channel/tuf/key.ts';
import { metadataOf, metadataText, signWith } from '#kpatch/channel/tuf/metadata.ts';
import { type ModuleFields, writeModule } from './module-file.ts';
import { running } from './publisher.ts';

const DAY_MS = 86_400_000;
let count = 0;

export class TufChannel {
  readonly work: string;
  readonly folder: string;
  readonly config: ChannelConfig;
  readonly kernels = new Map<string, PublishedPatch[]>();
  /** Names of the keys that sign publications. */
  online = ['targets', 'snapshot', 'timestamp'];
  now = new Date(Date.now() - 60_000);
  /** The newest publication. */
  tree = '';

  /** A channel with three root keys of which two must sign, and one key for every other role. */
  static async make(work: string, name = 'test', keysOf?: TufChannel): Promise<TufChannel> {
    const channel = new TufChannel(work, name, keysOf);
    const names = ['root1', 'root2', 'root3', 'targets', 'snapshot', 'timestamp'];
    if (keysOf === undefined) for (const key of names) channel.newKey(key);
    await channel.root({
      root: ['root1', 'root2', 'root3'],
      targets: ['targets'],
      snapshot: ['snapshot'],
      timestamp: ['timestamp'],
    });
    return channel;
  }

  readonly #keys: string;

  constructor(work: string, name: string, keysOf?: TufChannel) {
    this.work = join(work, `channel-${++count}`);
    this.folder = join(this.work, 'channel');
    this.#keys = keysOf === undefined ? join(this.work, 'keys') : keysOf.#keys;
    for (const folder of [this.folder, this.#keys]) mkdirSync(folder, { recursive: true });
    this.config = {
      schema: channelSchema,
      name,
      description: 'Test',
      url: 'https://patches.example.org/live',
      keys: ['A'.repeat(40)],
      formerKeys: [],
      windowMonths: 6,
      validDays: 14,
      keep: 2,
      require: { proof: false, moduleSignature: false },
    };
    writeConfig(this.folder, this.config);
    this.kernels.set(running, []);
  }

  newKey(name: string): void {
    makeTufKey(join(this.#keys, `${name}.key`));
  }

  keyFile(name: string): string {
    return join(this.#keys, `${name}.key`);
  }

  key(name: string): TufPrivateKey {
    return readTufPrivateKey(this.keyFile(name));
  }

  /** Makes the next root by a whole ceremony, signed by the first two root keys or by those named. */
  async root(
    keys: Partial<Record<Role, readonly string[]>>,
    change: Partial<RootChange> = {},
    signers: readonly string[] = ['root1', 'root2'],
  ) {
    const files = Object.fromEntries(
      Object.entries(keys).map(([role, names]) => [role, names.map((name) => `${this.keyFile(name)}.pub`)]),
    );
    const pending = await prepareRoot(this.folder, this.config, {
      keys: files,
      days: 400,
      revoke: [],
      now: this.now,
      ...change,
    });
    const signatures: string[] = [];
    for (const name of signers) signatures.push(await signFile(pending, this.keyFile(name)));
    return importSignatures(this.folder, signatures);
  }

  /** Adds a patch; `proof` is the text of its proof file. */
  add(fields: ModuleFields = {}, proof?: string): PublishedPatch {
    const release = fields.release ?? running;
    const file = writeModule(this.work, { ...fields, release });
    return this.addFile(file, proof);
  }

  addFile(file: string, proof?: string): PublishedPatch {
    if (proof !== undefined) writeFileSync(file.replace(/\.ko$/, '.proof.json'), proof);
    const module = readPatchModule(file);
    keepModule(this.folder, module);
    const record = recordOf(module, 1, new Map());
    const patch = { record, issued: this.now.toISOString(), proven: false, deb: null, rpm: null };
    const { release } = module.manifest;
    this.kernels.set(release, [...(this.kernels.get(release) ?? []), patch]);
    return patch;
  }

  /** Publishes; the result is a folder as a web server serves it. */
  async publish(validDays = 14): Promise<string> {
    this.now = new Date(this.now.getTime() + 1000);
    const before = this.tree === '' ? undefined : this.tree;
    const tree = join(this.work, `tree-${++count}`);
    mkdirSync(tree, { recursive: true });
    const keys = { folder: this.#keys, keys: this.online.map((name) => this.key(name)) };
    await writeTuf(this.folder, tree, this.publication(validDays), before, keys);
    this.tree = tree;
    return tree;
  }

  /** What the next publication says. */
  publication(validDays = 14): Publication {
    const kernels = [...this.kernels].map(([release, patches]): ChannelKernel => {
      const fixed = { arch: 'x86_64', distribution: 'Debian:12', packageVersion: '6.1.1-1', released: '2026-01-01' };
      return { schema: kernelSchema, release, ...fixed, extended: null, patches };
    });
    const validUntil = new Date(this.now.getTime() + validDays * DAY_MS);
    return { config: this.config, date: this.now, validUntil, kernels };
  }

  /** A copy of a tree, to be changed by an attacker. */
  copy(tree = this.tree): string {
    const copy = join(this.work, `copy-${++count}`);
    cpSync(tree, copy, { recursive: true });
    return copy;
  }

  get rootFile(): string {
    return join(this.tree, 'root.json');
  }
}

/** The address of a folder. */
export function urlOf(tree: string): string {
  return pathToFileURL(tree).href;
}

/** Changes the signed part of a metadata file and signs it with keys; without keys the old signatures stay. */
export async function resign(
  file: string,
  role: Role,
  change: (signed: Record<string, unknown>) => void,
  keys?: readonly TufPrivateKey[],
): Promise<void> {
  const document = JSON.parse(readFileSync(file, 'utf8')) as { signed: Record<string, unknown>; signatures: unknown[] };
  change(document.signed);
  if (keys === undefined) return writeFileSync(file, JSON.stringify(document));
  document.signatures = [];
  const metadata = await metadataOf(role, Buffer.from(JSON.stringify(document)));
  await signWith(metadata, keys);
  writeFileSync(file, metadataText(metadata));
}
