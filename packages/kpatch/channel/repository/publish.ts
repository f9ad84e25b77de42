/**
 * Publishing: a whole new tree is made beside the one that is served, and one rename of a symbolic link puts it in its place.
 * Whatever happens before that rename, readers see the publication before.
 */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { syncFolder, temporaryFolder, writeAtomically, writeError } from '../../base/files.ts';
import { readJSON } from '../../base/plain.ts';
import { onExit } from '../../base/process/cleanup.ts';
import type { Reporter } from '../../base/report.ts';
import { run } from '../../base/run.ts';
import type { channelGenerationDocument } from '../../documents/definitions/channel.ts';
import { type Stored, storedDocument } from '../../documents/form.ts';
import { readTrust } from '../trust.ts';
import { intoPool, signAll } from './add.ts';
import { type ChannelConfig, layout } from './config.ts';
import { exportKeys, secretKey, sign } from './gpg.ts';
import { component, suite, writeApt } from './index/apt.ts';
import { aptSource, buildClient, clientDigest, dnfRepository } from './index/client-package.ts';
import { writeCsaf } from './index/csaf.ts';
import { writeDnf } from './index/dnf.ts';
import { type ChannelKernel, type PoolFile, readKernels } from './kernel.ts';
import { feed } from './page/feed.ts';
import { feedFile, page } from './page/page.ts';
import { kernelsDocument, type Publication } from './publication.ts';
import { brokenRules } from './rules.ts';
import { servedMetadata, type TufKeys, writeTuf } from './tuf/repository.ts';
import { prepareTargets } from './tuf/targets.ts';

type Generation = Stored<typeof channelGenerationDocument>;

export interface Published {
  readonly generation: number;
  readonly date: Date;
  readonly validUntil: Date;
  readonly kernels: number;
  readonly packages: number;
}

/**
 * Publishes what the channel holds. Errors: the rules', `channel-clock`, `channel-key`, `tuf-unsigned`, `tuf-root-expired`,
 * `disk-full`, `tool-missing`, `tool-failed`;
 * after any of them the publication before is served as it was.
 */
export async function publish(
  folder: string,
  config: ChannelConfig,
  now: Date,
  report: Reporter,
  tuf: TufKeys = { folder: '(none)', keys: [] },
): Promise<Published> {
  const paths = layout(folder);
  const kernels = readKernels(folder);
  const trust = readTrust(folder, config);
  const broken = kernels.flatMap((kernel) => brokenRules(kernel, config, trust));
  if (broken[0] !== undefined) throw broken[0];
  const previous = newestGeneration(folder);
  if (previous !== undefined && Date.parse(previous.date) >= now.getTime()) {
    throw failure('channel-clock', { last: previous.date, now: now.toISOString() });
  }
  for (const key of config.keys) await secretKey(key);
  const validUntil = new Date(now.getTime() + config.validDays * 86_400_000);
  const publication = { config, kernels, date: now, validUntil };
  const next = (previous?.number ?? 0) + 1;
  const tree = join(paths.generations, `.${next}.making`);
  rmSync(tree, { recursive: true, force: true });
  const forget = onExit(() => rmSync(tree, { recursive: true, force: true }));
  try {
    mkdirSync(tree, { recursive: true });
    const generation = await makeTree(folder, tree, publication, next, previous, report, tuf);
    await run('sync', ['-f', tree]);
    // One that was killed between this rename and the switch left a tree that was never served.
    rmSync(join(paths.generations, String(next)), { recursive: true, force: true });
    renameSync(tree, join(paths.generations, String(next)));
    writeAtomically(join(paths.generations, `${next}.json`), `${JSON.stringify(generation, null, 1)}\n`);
    switchTo(folder, next);
    removeOld(folder, next, config.keep);
    return { generation: next, date: now, validUntil, kernels: kernels.length, packages: packageFiles(kernels).length };
  } catch (error) {
    rmSync(tree, { recursive: true, force: true });
    throw isFull(error, paths.generations) ? failure('disk-full', { file: tree }, { cause: error }) : error;
  } finally {
    forget();
  }
}

/**
 * Writes the list of targets that the next publication needs, to be signed elsewhere; undefined if the served one holds.
 * Errors: the rules', `tuf-root`, `channel-damaged`.
 */
export async function prepareTargetsOf(folder: string, config: ChannelConfig, now: Date): Promise<string | undefined> {
  const kernels = readKernels(folder);
  const broken = kernels.flatMap((kernel) => brokenRules(kernel, config, readTrust(folder, config)));
  if (broken[0] !== undefined) throw broken[0];
  const previous = newestGeneration(folder);
  const before = previous === undefined ? undefined : join(layout(folder).generations, String(previous.number));
  const validUntil = new Date(now.getTime() + config.validDays * 86_400_000);
  const served = await servedMetadata(before);
  return prepareTargets(folder, { config, kernels, date: now, validUntil }, served?.targets);
}

async function makeTree(
  folder: string,
  tree: string,
  publication: Publication,
  next: number,
  previous: Generation | undefined,
  report: Reporter,
  keysOfRoles: TufKeys,
): Promise<Generation> {
  const { config, kernels } = publication;
  const paths = layout(folder);
  const before = previous === undefined ? undefined : join(paths.generations, String(previous.number));
  const keys = await exportKeys(config.keys);
  const client = await report.stage('keys and support windows', () => clientFiles(folder, publication, keys, previous));
  await report.stage('packages', () => {
    for (const [_format, target] of [
      ['deb', 'apt/pool'],
      ['rpm', 'rpm'],
    ] as const)
      mkdirSync(join(tree, target), { recursive: true });
    for (const file of [...packageFiles(kernels), client.deb, client.rpm]) linkPackage(folder, tree, file);
  });
  const apt = await report.stage('apt repository', () => writeApt(tree, config, publication, paths.cache));
  const dnf = await report.stage('dnf repository', () => writeDnf(tree, config, publication, before));
  await report.stage('advisories', () => writeCsaf(tree, config, publication, paths.csaf));
  const tuf = await report.stage('TUF repository', () => writeTuf(folder, tree, publication, before, keysOfRoles));
  const document = `${JSON.stringify(kernelsDocument(publication), null, 1)}\n`;
  const files: Readonly<Record<string, string | Uint8Array>> = {
    'kernels.json': document,
    'kernels.json.asc': await sign(document, config.keys, 'detached'),
    'key.asc': keys.armored,
    'key.gpg': keys.binary,
    'kpatch-channel.sources': aptSource(config.url, suite, component),
    'kpatch-channel.repo': dnfRepository(config.url, config.description === '' ? config.name : config.description),
    'index.html': page(publication),
    [feedFile]: feed(publication),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(tree, name), content);
  const generation = { number: next, date: publication.date.toISOString(), indexes: [...apt, ...dnf, ...tuf], client };
  keepIndexes(folder, tree, next, config.keep);
  return generation;
}

/** All package files of the channel's kernels. */
export function packageFiles(kernels: readonly ChannelKernel[]): PoolFile[] {
  return kernels.flatMap((kernel) =>
    kernel.patches.flatMap(({ deb, rpm }) => [deb, rpm].filter((file) => file !== null)),
  );
}

/** A package in the tree is the pool's file itself (a hard link), so a publication costs no copy. */
function linkPackage(folder: string, tree: string, { file }: PoolFile): void {
  const { pool } = layout(folder);
  const isDeb = file.endsWith('.deb');
  const source = join(isDeb ? pool.deb : pool.rpm, file);
  if (!existsSync(source))
    throw failure('channel-damaged', { folder, problem: `the package ${file} is missing from the pool` });
  linkSync(source, join(tree, isDeb ? 'apt/pool' : 'rpm', file));
}

async function clientFiles(
  folder: string,
  publication: Publication,
  keys: { armored: string; binary: Buffer },
  previous: Generation | undefined,
): Promise<Generation['client']> {
  const digest = clientDigest(publication, keys);
  const { pool } = layout(folder);
  if (
    previous?.client.digest === digest &&
    existsSync(join(pool.deb, previous.client.deb.file)) &&
    existsSync(join(pool.rpm, previous.client.rpm.file))
  ) {
    return previous.client;
  }
  using work = temporaryFolder('.client-', folder);
  const made = await buildClient(publication, keys, work.path);
  await signAll(publication.config, made);
  const { deb, rpm } = await intoPool(folder, made, publication.date);
  return { digest, deb: deb!, rpm: rpm! };
}

/** Index files of the publications before, which a reader may just be about to ask for. */
function keepIndexes(folder: string, tree: string, next: number, keep: number): void {
  const { generations } = layout(folder);
  for (const generation of readGenerations(folder).filter((old) => old.number > next - 1 - keep)) {
    for (const index of generation.indexes) {
      const source = join(generations, String(generation.number), index);
      const target = join(tree, index);
      if (existsSync(target) || !existsSync(source)) continue;
      mkdirSync(dirname(target), { recursive: true });
      linkSync(source, target);
    }
  }
}

function switchTo(folder: string, next: number): void {
  const paths = layout(folder);
  const link = join(folder, `.public.${process.pid}`);
  rmSync(link, { force: true });
  try {
    symlinkSync(join('generations', String(next)), link);
    renameSync(link, paths.public);
    syncFolder(folder);
  } catch (error) {
    rmSync(link, { force: true });
    throw writeError(paths.public, error);
  }
}

/** Generations in order of their number; one whose description is damaged does not count. */
function readGenerations(folder: string): Generation[] {
  const { generations } = layout(folder);
  const names = existsSync(generations) ? readdirSync(generations).filter((name) => /^\d+\.json$/.test(name)) : [];
  return names
    .flatMap((name) => {
      try {
        return [storedDocument('kpatch.channel-generation', readJSON(join(generations, name)))];
      } catch {
        return [];
      }
    })
    .sort((a, b) => a.number - b.number);
}

/** The generation that is served. */
export function newestGeneration(folder: string): Generation | undefined {
  const served = servedNumber(folder);
  return readGenerations(folder).find((generation) => generation.number === served);
}

/** Number of the generation that `public` points to; `undefined` before the first publication. */
export function servedNumber(folder: string): number | undefined {
  try {
    const found = /(\d+)$/.exec(readlinkSync(layout(folder).public))?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}

/** Removes trees that are neither served nor kept, and what a publication that was cut off left behind. */
export function removeOld(folder: string, served: number, keep: number): number {
  const { generations } = layout(folder);
  let removed = 0;
  for (const name of readdirSync(generations)) {
    const found = /^\.?(\d+)(?:\.json|\.making)?$/.exec(name);
    if (found === null) continue;
    const kept = Number(found[1]) <= served && Number(found[1]) >= served - keep && !name.startsWith('.');
    if (kept) continue;
    rmSync(join(generations, name), { recursive: true, force: true });
    removed++;
  }
  return removed;
}

/** Tools say in their own ways that a disk is full; the filesystem itself knows. */
function isFull(error: unknown, folder: string): boolean {
  if (error instanceof KpatchError) {
    if (error.code === 'disk-full') return true;
    if (error.code !== 'tool-failed' && error.code !== 'file-unwritable') return false;
  } else if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return true;
  if (
    /No space left|ENOSPC/.test(
      `${(error as Error).message} ${error instanceof KpatchError ? (error.detail ?? '') : ''}`,
    )
  )
    return true;
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize < 65536;
  } catch {
    return false;
  }
}
