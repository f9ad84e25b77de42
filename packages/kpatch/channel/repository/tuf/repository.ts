/**
 * The TUF repository of a publication, `tuf/`: the roots, and targets, snapshot and timestamp. Names follow
 * consistent snapshots (specification, section 6.2), so a reader who began with the publication before finds its files.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Metadata, Root, Targets } from '@tufjs/models';
import { sha256 } from '../../../base/digest.ts';
import { failure } from '../../../base/errors/error.ts';
import { checkDocument, type Role } from '../../tuf/document.ts';
import type { TufPrivateKey } from '../../tuf/key.ts';
import { commonOf, metadataOf, metadataText, models, type Signed, signWith } from '../../tuf/metadata.ts';
import type { Publication } from '../publication.ts';
import { newestRoot, rootFiles } from './root.ts';
import { type Content, targetContents, targetsMetadata } from './targets.ts';

export interface TufKeys {
  /** Where the keys were looked for. */
  readonly folder: string;
  readonly keys: readonly TufPrivateKey[];
}

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
  const targets = await targetsMetadata(folder, root, publication, files, served?.targets, (made) =>
    signRole(root, 'targets', made, keys),
  );
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

export interface Served {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: Metadata<Targets>;
}

/** The metadata of the tree that is served; our own, so it is not verified again. */
export async function servedMetadata(before: string | undefined): Promise<Served | undefined> {
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
