/**
 * The targets metadata of a publication: every module with its proof, provenance and record. Its key may be on a machine of
 * its own: `prepareTargets` writes what is to be signed, and a publication takes it once it is signed.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Metadata, Root, Targets } from '@tufjs/models';
import { sha256 } from '../../../base/digest.ts';
import { failure } from '../../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../../base/files.ts';
import type { Plain } from '../../../base/plain.ts';
import { checkDocument } from '../../tuf/document.ts';
import { commonOf, metadataOf, metadataText, missingSignatures, models } from '../../tuf/metadata.ts';
import { consistentPath, kernelsTarget, modulePath, type PatchTarget } from '../../tuf/target.ts';
import { layout } from '../config.ts';
import { machineDocument } from '../index/client-package.ts';
import type { ChannelKernel } from '../kernel.ts';
import type { Publication } from '../publication.ts';
import { companionNames, modulePoolNames, poolModule } from './modules.ts';
import { newestRoot } from './root.ts';

/** Patches that are listed for each kernel. Machines install the newest; in a fleet its server may choose an earlier one. */
const LISTED = 3;
/**
 * How long the list of targets is valid, in days. It is signed again only when it changes or ends, so that the key can stay
 * offline while snapshot and timestamp are renewed.
 */
export const TARGETS_DAYS = 200;
const DAY_MS = 86_400_000;

/** A file of the repository: linked from the pool, or written. */
export type Content = { readonly from: string } | Buffer;

/** The targets that wait for signatures, or were signed elsewhere and are not published yet. */
export const pendingTargets = (folder: string): string => join(layout(folder).tuf, 'next.targets.json');

export interface TargetContent {
  /** Its file in the repository. */
  readonly name: string;
  readonly content: Content;
  readonly length: number;
  readonly sha256: string;
  readonly custom: Plain;
}

/** Every target of a publication, by path. */
export async function targetContents(folder: string, publication: Publication): Promise<Map<string, TargetContent>> {
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

/** What a publication lists, if it has to be signed; undefined if the served list still holds. */
async function nextTargets(
  root: Metadata<Root>,
  { config, date, validUntil }: Publication,
  files: ReadonlyMap<string, TargetContent>,
  served: Metadata<Targets> | undefined,
): Promise<Metadata<Targets> | undefined> {
  const { Targets: MadeTargets, TargetFile, Metadata: Made } = await models();
  const version = (served?.signed.version ?? 0) + 1;
  const expires = new Date(date.getTime() + TARGETS_DAYS * DAY_MS);
  const targets = new MadeTargets(commonOf(config.name, version, expires));
  for (const [path, { length, sha256: digest, custom }] of files) {
    targets.addTarget(
      new TargetFile({ path, length, hashes: { sha256: digest }, unrecognizedFields: { custom: custom as never } }),
    );
  }
  const made = new Made(targets);
  return served !== undefined && stands(root, served, made, validUntil) ? undefined : made;
}

/** True if `given` is signed, outlives the publication, and lists what `made` lists. */
function stands(root: Metadata<Root>, given: Metadata<Targets>, made: Metadata<Targets>, validUntil: Date): boolean {
  const lists = ({ signed }: Metadata<Targets>): unknown => JSON.parse(JSON.stringify(signed.toJSON().targets));
  return (
    missingSignatures(root, 'targets', given) === 0 &&
    Date.parse(given.signed.expires) >= validUntil.getTime() &&
    isDeepStrictEqual(lists(given), lists(made))
  );
}

/**
 * The targets metadata: the one that is served if it still holds, else the one that was signed elsewhere, else a new one that
 * `sign` signs.
 */
export async function targetsMetadata(
  folder: string,
  root: Metadata<Root>,
  publication: Publication,
  files: ReadonlyMap<string, TargetContent>,
  served: Metadata<Targets> | undefined,
  sign: (made: Metadata<Targets>) => Promise<void>,
): Promise<Metadata<Targets>> {
  const made = await nextTargets(root, publication, files, served);
  if (made === undefined) return served!;
  const pending = pendingTargets(folder);
  if (existsSync(pending)) {
    const bytes = readBytes(pending);
    checkDocument(bytes, 'targets', publication.config.name, pending);
    const given = await metadataOf('targets', bytes);
    const next = given.signed.version === made.signed.version;
    if (next && stands(root, given, made, publication.validUntil)) return given;
  }
  await sign(made);
  return made;
}

/**
 * Writes what the next publication would list, to be signed elsewhere; gives its path, or undefined if the served list still
 * holds. Errors: `tuf-root`, `channel-damaged`, `tuf-malformed`, those of reading a package.
 */
export async function prepareTargets(
  folder: string,
  publication: Publication,
  served: Metadata<Targets> | undefined,
): Promise<string | undefined> {
  const root = await newestRoot(folder);
  if (root === undefined)
    throw failure('tuf-root', { problem: 'there is none; run `kpatch channel root`, which names the key of targets' });
  const made = await nextTargets(root, publication, await targetContents(folder, publication), served);
  if (made === undefined) return undefined;
  const file = pendingTargets(folder);
  const content = metadataText(made);
  checkDocument(Buffer.from(content), 'targets', publication.config.name, file);
  mkdirSync(layout(folder).tuf, { recursive: true });
  writeAtomically(file, content);
  return file;
}
