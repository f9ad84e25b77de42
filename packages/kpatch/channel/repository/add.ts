/** Adds live patches to a channel: checked against the rules, packaged, signed, put into the pool; published later. */
import { existsSync, mkdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Advisory } from '../../advisory/record.ts';
import { sha256File } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes, temporaryFolder, writeError } from '../../base/files.ts';
import { buildLivePatch } from '../package/livepatch.ts';
import { fileNames, packageNames } from '../package/name.ts';
import { type ReadPackage, readPackage } from '../package/read.ts';
import { emptyRecord, type LivePatchRecord, recordOf, versionText } from '../package/record.ts';
import { type PatchModule, readPatchModule } from '../patch-module.ts';
import { judge, readTrust, requireTrust } from '../trust.ts';
import { type ChannelConfig, layout } from './config.ts';
import { signRpms } from './gpg.ts';
import { keepCsaf } from './index/csaf.ts';
import { type ChannelKernel, type PoolFile, type PublishedPatch, readKernel, writeKernel } from './kernel.ts';
import { brokenRule } from './rules.ts';
import { keepModule } from './tuf/modules.ts';
import { dayOf } from './window.ts';

export interface AddOptions {
  /** Release of the packages that are made of modules. */
  readonly release: number;
  readonly withdrawn: LivePatchRecord['withdrawn'];
  readonly advisories: ReadonlyMap<string, Advisory>;
  readonly now: Date;
}

export interface Added {
  readonly kernel: string;
  readonly version: string;
  readonly packages: readonly string[];
}

interface Candidate {
  readonly record: LivePatchRecord;
  readonly module: PatchModule;
}

/**
 * Adds modules (`.ko`) and packages (`.deb`, `.rpm`) that `kpatch package` makes of the same
 * content. All are checked before the first is added.
 * Errors: those of reading modules and packages, of the rules, `channel-trust-missing`, `channel-kernel-unknown`, `channel-key`, `disk-full`.
 */
export async function addPatches(
  folder: string,
  config: ChannelConfig,
  files: readonly string[],
  options: AddOptions,
): Promise<Added[]> {
  const trust = readTrust(folder, config);
  requireTrust(folder, config, trust);
  const candidates = await readCandidates(files, options);
  const kernels = new Map<string, ChannelKernel>();
  const accepted: { candidate: Candidate; patch: Omit<PublishedPatch, 'deb' | 'rpm'> }[] = [];
  for (const candidate of candidates) {
    const { record, module } = candidate;
    const kernel = kernels.get(record.kernel) ?? readKernel(folder, record.kernel);
    const { problems, ...evidence } = judge(module, trust, options.now);
    const patch = { record, issued: options.now.toISOString(), ...evidence };
    const asked = { patch, problems, replaces: module.manifest.replace };
    const broken = brokenRule(asked, kernel, config, trust, dayOf(options.now));
    if (broken !== undefined) throw broken;
    // Several versions may be added at once: the next is judged by this one.
    kernels.set(record.kernel, { ...kernel, patches: [...kernel.patches, { ...patch, deb: null, rpm: null }] });
    accepted.push({ candidate, patch });
  }
  using work = temporaryFolder('.add-', folder);
  const made: string[][] = [];
  for (const { candidate } of accepted) {
    made.push(await complete(candidate.record, candidate.module, work.path));
  }
  await signAll(config, made.flat());
  const added: Added[] = [];
  for (const [at, { candidate, patch }] of accepted.entries()) {
    keepModule(folder, candidate.module);
    const pooled = await intoPool(folder, made[at] ?? [], options.now);
    const kernel = readKernel(folder, candidate.record.kernel);
    await keepCsaf(layout(folder).csaf, config, kernel, { ...patch, ...pooled });
    writeKernel(folder, { ...kernel, patches: [...kernel.patches, { ...patch, ...pooled }] });
    const packages = [pooled.deb, pooled.rpm].flatMap((file) => file?.file ?? []);
    added.push({ kernel: candidate.record.kernel, version: versionText(candidate.record), packages });
  }
  return added;
}

async function readCandidates(files: readonly string[], options: AddOptions): Promise<Candidate[]> {
  const candidates = new Map<string, Candidate>();
  const read: ReadPackage[] = [];
  for (const file of files) {
    if (file.endsWith('.ko')) {
      const module = readPatchModule(file);
      const record = recordOf(module, options.release, options.advisories, options.withdrawn);
      candidates.set(keyOf(record), { record, module });
    } else read.push(await readPackage(file));
  }
  for (const { record, module, file, format } of read) {
    if (module === undefined)
      throw failure('channel-package', { file, problem: 'create subscriptions with `kpatch channel kernel`' });
    const before = candidates.get(keyOf(record));
    if (before !== undefined && JSON.stringify(before.record) !== JSON.stringify(record)) {
      throw failure(
        'channel-package',
        { file, problem: 'the other package of the same version has different content' },
        { where: { file } },
      );
    }
    await requireOurs(record, module, file, format);
    candidates.set(keyOf(record), { record, module });
  }
  return [...candidates.values()].sort(
    (a, b) => a.record.version - b.record.version || a.record.release - b.record.release,
  );
}

function keyOf(record: LivePatchRecord): string {
  return `${record.kernel} ${versionText(record)}`;
}

/**
 * Requires that a package is what kpatch makes of its own content, byte for byte. Anything else in it, such as a script, a
 * further file or a field that replaces other packages, would be signed unseen. Error: `channel-package`.
 */
async function requireOurs(
  record: LivePatchRecord,
  module: PatchModule,
  file: string,
  format: 'deb' | 'rpm',
): Promise<void> {
  using work = temporaryFolder('kpatch-rebuild-');
  const made = await buildLivePatch(record, module, work.path, [format]);
  if (readBytes(made[format] ?? '').equals(readBytes(file))) return;
  const problem =
    'kpatch makes another package of its content, so it holds something else too, or other tools built it';
  throw failure(
    'channel-package',
    { file, problem },
    { where: { file }, detail: 'add the module and its proof instead' },
  );
}

/** Both packages of a record in the folder `work`. */
async function complete(record: LivePatchRecord, module: PatchModule | undefined, work: string): Promise<string[]> {
  await buildLivePatch(record, module, work);
  const names = fileNames(packageNames(record.kernel), record.version, record.release, record.arch);
  return [join(work, names.deb), join(work, names.rpm)];
}

/** Signs the rpm packages among the files; a deb is signed through its repository's index. Error: `channel-key`. */
export async function signAll(config: ChannelConfig, files: readonly string[]): Promise<void> {
  await signRpms(
    files.filter((file) => file.endsWith('.rpm')),
    config.keys[0] ?? '',
  );
}

/**
 * Moves signed packages into the pool, where they never change again; `date` is theirs, as dnf's index tells it. Errors:
 * `disk-full`, `file-unwritable`.
 */
export async function intoPool(
  folder: string,
  files: readonly string[],
  date: Date,
): Promise<{ deb: PoolFile | null; rpm: PoolFile | null }> {
  const { pool } = layout(folder);
  const found: { deb: PoolFile | null; rpm: PoolFile | null } = { deb: null, rpm: null };
  for (const file of files) {
    const format = file.endsWith('.deb') ? 'deb' : 'rpm';
    const name = basename(file);
    const target = join(pool[format], name);
    try {
      mkdirSync(pool[format], { recursive: true });
      // A file of that name that no kernel's list names was left by an addition that was cut off.
      rmSync(target, { force: true });
      renameSync(file, target);
      utimesSync(target, date, date);
    } catch (error) {
      throw writeError(target, error);
    }
    found[format] = { file: name, size: statSync(target).size, sha256: await sha256File(target) };
  }
  return found;
}

/** Takes a kernel into the channel with its empty package, or changes what is known of it. */
export async function putKernel(
  folder: string,
  config: ChannelConfig,
  kernel: ChannelKernel,
  now: Date,
): Promise<void> {
  if (kernel.patches.length > 0) return writeKernel(folder, kernel);
  using work = temporaryFolder('.kernel-', folder);
  const record = emptyRecord(kernel.release, kernel.arch);
  const made = await complete(record, undefined, work.path);
  await signAll(config, made);
  const pooled = await intoPool(folder, made, now);
  writeKernel(folder, { ...kernel, patches: [{ record, issued: now.toISOString(), proven: false, ...pooled }] });
}

/** True if a channel's folder exists already. */
export function exists(folder: string): boolean {
  return existsSync(layout(folder).config);
}
