/**
 * The TUF repository of a publication, `tuf/`: the roots, and targets, snapshot and timestamp. Names follow
 * consistent snapshots (specification, section 6.2), so a reader who began with the publication before finds its files.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Metadata, Root, Targets } from '@tufjs/models';
import { sha256 } from '../../../base/digest.ts';
import { failure } from '../../../base/errors/error.ts';
import type { Plain } from '../../../base/plain.ts';
import { checkDocument, type Role } from '../../tuf/document.ts';
import type { TufPrivateKey } from '../../tuf/key.ts';
import {
  commonOf,
  metadataOf,
  metadataText,
  missingSignatures,
  models,
  type Signed,
  signWith,
} from '../../tuf/metadata.ts';
import { consistentPath, kernelsTarget, modulePath, type PatchTarget } from '../../tuf/target.ts';
import { machineDocument } from '../index/client-package.ts';
import type { ChannelKernel } from '../kernel.ts';
import type { Publication } from '../publication.ts';
import { companionNames, modulePoolNames, poolModule } from './modules.ts';
import { newestRoot, rootFiles } from './root.ts';

/** Patches that are listed for each kernel. Machines install the newest; the others only show that an older one was genuine. */
const LISTED = 3;
/**
 * How long the list of targets is valid, in days. It is signed again only when it changes or ends, so that the key can stay
 * offline while snapshot and timestamp are renewed.
 */
export const TARGETS_DAYS = 200;
const DAY_MS = 86_400_000;

export interface TufKeys {
  /** Where the keys were looked for. */
  readonly folder: string;
  readonly keys: readonly TufPrivateKey[];
}

/** A file of the repository: linked from the pool, or written. */
type Content = { readonly from: string } | Buffer;

/**
 * Writes the repository below `tree`. `before` is the tree that is served, if any. Gives the metadata files, which the next
 * publications keep, relative to the tree; nothing if the channel has no root.
 * Errors: `tuf-unsigned`, `tuf-root-expired`, `tuf-malformed` if there are too many targets, `channel-damaged`, those of reading a package.
 */
export async function writeTuf(
  folder: string,
  tree: string,
  publication: Publication,
  before: string | undefined,
  keys: TufKeys,
): Promise<string[]> {
  const root = await newestRoot(folder);
  if (root === undefined) return [];
  const { config, date } = publication;
  if (Date.parse(root.signed.expires) <= date.getTime())
    throw failure('tuf-root-expired', { expires: root.signed.expires.slice(0, 10) });
  const { Snapshot, Timestamp, Metadata: Made, MetaFile } = await models();
  const served = await servedMetadata(before);
  const files = await targetContents(folder, publication);
  const targets = await targetsMetadata(root, publication, files, served?.targets, keys);
  const targetsText = metadataText(targets);
  // What machines would refuse is not published.
  checkDocument(Buffer.from(targetsText), 'targets', config.name, 'targets.json');
  const meta = (version: number, content: string) =>
    new MetaFile({ version, length: Buffer.byteLength(content), hashes: { sha256: sha256(content) } });
  const version = (served?.snapshot ?? 0) + 1;
  const snapshot = new Made(
    new Snapshot({
      ...commonOf(config.name, version, publication.validUntil),
      meta: { 'targets.json': meta(targets.signed.version, targetsText) },
    }),
  );
  await signRole(root, 'snapshot', snapshot, keys);
  const snapshotText = metadataText(snapshot);
  const stamp = (served?.timestamp ?? 0) + 1;
  const timestamp = new Made(
    new Timestamp({
      ...commonOf(config.name, stamp, publication.validUntil, { published: date.toISOString() }),
      snapshotMeta: meta(version, snapshotText),
    }),
  );
  await signRole(root, 'timestamp', timestamp, keys);
  const metadata = new Map<string, Content>([
    ...rootFiles(folder),
    [`${targets.signed.version}.targets.json`, Buffer.from(targetsText)],
    [`${version}.snapshot.json`, Buffer.from(snapshotText)],
    ['timestamp.json', Buffer.from(metadataText(timestamp))],
  ]);
  const named = new Map<string, Content>([
    ...metadata,
    ...[...files.values()].map(({ name, content }) => [name, content] as const),
  ]);
  for (const [name, content] of named) put(join(tree, 'tuf', name), content);
  writeFileSync(join(tree, 'root.json'), rootFiles(folder).get(`${root.signed.version}.root.json`)!);
  const kept = [...named.keys()].filter((name) => name !== 'timestamp.json');
  return kept.map((name) => join('tuf', name));
}

function put(file: string, content: Content): void {
  mkdirSync(dirname(file), { recursive: true });
  if (Buffer.isBuffer(content)) writeFileSync(file, content);
  else linkSync(content.from, file);
}

/** What a role must be signed by. Error: `tuf-unsigned`. */
async function signRole<R extends Role>(
  root: Metadata<Root>,
  role: R,
  metadata: Metadata<Signed[R]>,
  { keys, folder }: TufKeys,
): Promise<void> {
  const { keyIDs, threshold } = root.signed.roles[role]!;
  const own = keys.filter(({ id }) => keyIDs.includes(id));
  if (own.length < threshold) throw failure('tuf-unsigned', { role, have: own.length, threshold, folder });
  await signWith(metadata, own);
}

interface Served {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: Metadata<Targets>;
}

/** The metadata of the tree that is served; our own, so it is not verified again. */
async function servedMetadata(before: string | undefined): Promise<Served | undefined> {
  const file = (name: string): string => join(before ?? '', 'tuf', name);
  if (before === undefined || !existsSync(file('timestamp.json'))) return undefined;
  const timestamp = await metadataOf('timestamp', readFileSync(file('timestamp.json')));
  const version = timestamp.signed.snapshotMeta.version;
  const snapshot = await metadataOf('snapshot', readFileSync(file(`${version}.snapshot.json`)));
  const listed = snapshot.signed.meta['targets.json']?.version ?? 0;
  return {
    timestamp: timestamp.signed.version,
    snapshot: version,
    targets: await metadataOf('targets', readFileSync(file(`${listed}.targets.json`))),
  };
}

interface TargetContent {
  /** Its file in the repository. */
  readonly name: string;
  readonly content: Content;
  readonly length: number;
  readonly sha256: string;
  readonly custom: Plain;
}

/** Every target of a publication, by path. */
async function targetContents(folder: string, publication: Publication): Promise<Map<string, TargetContent>> {
  const found = new Map<string, TargetContent>();
  const add = (path: string, content: Content, custom: object): void => {
    const bytes = Buffer.isBuffer(content) ? content : readFileSync(content.from);
    const digest = sha256(bytes);
    const name = consistentPath({ path, length: bytes.length, sha256: digest });
    found.set(path, { name, content, length: bytes.length, sha256: digest, custom: custom as Plain });
  };
  add(kernelsTarget, Buffer.from(machineDocument(publication)), { kind: 'kernels' });
  for (const kernel of publication.kernels) await addKernel(folder, kernel, add);
  return found;
}

async function addKernel(
  folder: string,
  kernel: ChannelKernel,
  add: (path: string, content: Content, custom: object) => void,
): Promise<void> {
  const patches = kernel.patches.filter(({ record }) => record.module !== null);
  // A module that was packaged twice is one target, described by its newest record.
  const newest = new Map(patches.map((patch) => [patch.record.module!.name, patch]));
  const listed = [...newest.values()].slice(-LISTED);
  for (const patch of listed) {
    const { record } = patch;
    const { name } = record.module!;
    const [moduleName = ''] = modulePoolNames(patch);
    const base = modulePath(kernel.release, name).replace(/\.ko$/, '');
    if (patch !== listed.at(-1)) {
      const former = { kind: 'former', release: kernel.release, name };
      add(`${base}.ko`, { from: await poolModule(folder, patch, moduleName) }, former);
      continue;
    }
    const { proof, provenance } = companionNames(record);
    const target: PatchTarget = {
      kind: 'module',
      release: kernel.release,
      arch: record.arch,
      name,
      version: record.version,
      packageRelease: record.release,
      cves: record.cves.map(({ id }) => id),
      withdrawn: record.withdrawn.map(({ id }) => id),
      supersedes: patches
        .map((one) => one.record.module!.name)
        .filter((other, at, all) => other !== name && all.indexOf(other) === at && at < all.indexOf(name)),
      proof: proof === undefined ? null : `${base}.proof.json`,
      provenance: provenance === undefined ? null : `${base}.provenance.json`,
      record: `${base}.record.json`,
    };
    add(`${base}.ko`, { from: await poolModule(folder, patch, moduleName) }, target);
    if (proof !== undefined)
      add(`${base}.proof.json`, { from: await poolModule(folder, patch, proof) }, { kind: 'proof' });
    if (provenance !== undefined)
      add(`${base}.provenance.json`, { from: await poolModule(folder, patch, provenance) }, { kind: 'provenance' });
    add(`${base}.record.json`, Buffer.from(`${JSON.stringify(record, null, 1)}\n`), { kind: 'record' });
  }
}

/** The targets metadata: the one that is served if it still holds, else a new one. */
async function targetsMetadata(
  root: Metadata<Root>,
  { config, date, validUntil }: Publication,
  files: ReadonlyMap<string, TargetContent>,
  served: Metadata<Targets> | undefined,
  keys: TufKeys,
): Promise<Metadata<Targets>> {
  const { Targets: MadeTargets, TargetFile, Metadata: Made } = await models();
  const version = (served?.signed.version ?? 0) + 1;
  const expires = new Date(date.getTime() + TARGETS_DAYS * DAY_MS);
  const targets = new MadeTargets(commonOf(config.name, version, expires));
  for (const [path, { length, sha256: digest, custom }] of files) {
    targets.addTarget(
      new TargetFile({ path, length, hashes: { sha256: digest }, unrecognizedFields: { custom: custom as never } }),
    );
  }
  const lists = (one: Targets): unknown => JSON.parse(JSON.stringify(one.toJSON().targets));
  const holds =
    served !== undefined &&
    missingSignatures(root, 'targets', served) === 0 &&
    Date.parse(served.signed.expires) >= validUntil.getTime() &&
    isDeepStrictEqual(lists(served.signed), lists(targets));
  if (holds) return served;
  const made = new Made(targets);
  await signRole(root, 'targets', made, keys);
  return made;
}
