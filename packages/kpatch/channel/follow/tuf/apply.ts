/**
 * Installs what a channel delivers as data. The metadata and each module are verified here, by the process that installs
 * them, and the bytes that were verified are the bytes that are installed: what fetched them is not trusted.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { failure, KpatchError } from '../../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../../base/files.ts';
import { object, parseJSON, readJSON } from '../../../base/plain.ts';
import type { Reporter } from '../../../base/report.ts';
import { storedDocument } from '../../../documents/form.ts';
import { journal } from '../../../host/machine/journal.ts';
import type { Machine } from '../../../host/machine/machine.ts';
import { installModule } from '../../../host/store/install.ts';
import { moduleFileOf } from '../../../host/store/module-file.ts';
import { recordOf } from '../../../host/store/store.ts';
import { proofPath, provenancePath } from '../../../module/proof-path.ts';
import { readRecord } from '../../package/record.ts';
import { ownMember } from '../../tuf/document.ts';
import { revokedOf } from '../../tuf/revoked.ts';
import { kernelsTarget, type ListedPatch, listedPatches, type TargetFile, targetFiles } from '../../tuf/target.ts';
import { type Choose, wantedPatch } from './choice.ts';
import { type Delivered, readClient, writeClient } from './client.ts';
import { dataFile, filesOf, kept, readTarget } from './fetch.ts';
import { refresh, verifiedTargets } from './refresh.ts';
import type { Source } from './source.ts';
import { signedOf } from './state.ts';

export interface AppliedChannel {
  readonly changes: readonly { readonly package: string; readonly from: string; readonly to: string }[];
  /** Kernels of the machine that the channel does not know. */
  readonly unknown: readonly string[];
  /** Patches that were verified and are not in use, each with the reason. */
  readonly waiting: readonly string[];
}

export interface ApplyOptions {
  readonly kernels: readonly string[];
  readonly dryRun: boolean;
  readonly report: Reporter;
  /** What the server of a fleet chose; outside of a fleet the newest patch is wanted. */
  readonly choose?: Choose | undefined;
}

/**
 * Refreshes, and installs the newest patch of each kernel. The caller holds the lock of the machine.
 * Errors: those of `refresh`, `tuf-record`; then nothing changed, and the journal has an alarm.
 */
export async function applyChannel(
  machine: Machine,
  base: string,
  source: Source,
  { kernels, dryRun, report, choose }: ApplyOptions,
): Promise<AppliedChannel> {
  try {
    await refresh(base, source);
  } catch (error) {
    if (error instanceof KpatchError) await alarm(machine, error);
    throw error;
  } finally {
    // A root that was verified counts even if the rest failed.
    writeRevoked(base);
  }
  const signed = verifiedTargets(base);
  const listed = listedPatches(signed);
  await keepWindows(base, source, report);
  const changes: AppliedChannel['changes'][number][] = [];
  const waiting: string[] = [];
  const pending = new Set<string>();
  for (const release of kernels) {
    const patch = wantedPatch(listed.get(release), release, choose);
    if (patch === undefined && choose?.(release) !== undefined)
      waiting.push(`${release}: the fleet server chose a patch that the channel does not list`);
    if (patch === undefined || recordOf(machine, release, patch.file.sha256) !== undefined) continue;
    const version = `${patch.version}-${patch.packageRelease}`;
    const from = installedVersion(base, machine, release);
    if (dryRun) {
      changes.push({ package: release, from, to: version });
      continue;
    }
    try {
      await installPatch(machine, base, source, patch, report, choose !== undefined);
      changes.push({ package: release, from, to: version });
      remember(base, { release, name: patch.name, version, sha256: patch.file.sha256 });
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      for (const file of filesOf(patch)) pending.add(dataFile(base, file));
      waiting.push(`${release} ${version}: ${error.message}`);
    }
  }
  if (!dryRun) sweepData(join(base, 'data'), pending);
  return { changes, unknown: kernels.filter((release) => !knows(base, release, listed)), waiting };
}

async function alarm(machine: Machine, error: KpatchError): Promise<void> {
  const message = `live patch channel: ${error.message}; installed patches stay`;
  await journal(machine, { outcome: 'alarm', message, release: '', code: error.code });
}

/** Verifies the files of a patch, keeps them, and installs the module by the policy. */
async function installPatch(
  machine: Machine,
  base: string,
  source: Source,
  patch: ListedPatch,
  report: Reporter,
  downgrade: boolean,
): Promise<void> {
  const file = dataFile(base, patch.file);
  const verified = async (target: TargetFile): Promise<Buffer> => kept(base, target) ?? readTarget(source, target);
  const bytes = await verified(patch.file);
  const optional = async (target: TargetFile | undefined): Promise<Buffer | undefined> =>
    target === undefined ? undefined : await verified(target);
  const proof = await optional(patch.proofFile);
  const provenance = await optional(patch.provenanceFile);
  const record = await verified(patch.recordFile);
  const module = moduleFileOf(bytes, file);
  const wrong = (problem: string): Error => failure('tuf-record', { path: patch.file.path, problem });
  if (module.name !== patch.name) throw wrong(`the module's name is ${module.name}`);
  if (module.release !== patch.release) throw wrong(`the module is for ${module.release}`);
  if (module.manifest === undefined || module.manifest.version !== patch.version)
    throw wrong(`the version of the module is ${module.manifest?.version ?? 'unknown'}`);
  readRecord(parseJSON(record, patch.recordFile.path), patch.recordFile.path);
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  writeAtomically(file, bytes);
  for (const [path, content] of [
    [proofPath(file), proof],
    [provenancePath(file), provenance],
  ] as const) {
    if (content === undefined) rmSync(path, { force: true });
    else writeAtomically(path, content);
  }
  // The policy decides here as everywhere. An update never undoes what the user took out.
  // A fleet may go back to an earlier patch that the channel still lists.
  await installModule(machine, module, { release: patch.release, unattended: true, downgrade }, report);
  mkdirSync(join(base, 'records'), { recursive: true, mode: 0o755 });
  writeAtomically(join(base, 'records', `${patch.release}.json`), record);
}

function remember(base: string, delivered: Delivered): void {
  const client = readClient(base);
  const others = client.delivered.filter(({ sha256: digest }) => digest !== delivered.sha256);
  writeClient(base, { ...client, delivered: [...others, delivered].slice(-1000) });
}

/** The version that the channel delivered last and that is installed; empty if there is none. */
export function installedVersion(base: string, machine: Machine, release: string): string {
  const found = readClient(base).delivered.findLast(
    (one) => one.release === release && recordOf(machine, release, one.sha256) !== undefined,
  );
  return found?.version ?? '';
}

/** Keys that the root of the channel revoked; the host policy reads the file. The channel can only take trust away. */
function writeRevoked(base: string): void {
  const root = signedOf(base, 'root');
  if (root === undefined) return;
  const keys = revokedOf(object(root[ownMember]));
  const file = join(base, 'revoked-keys.json');
  if (keys.length === 0 && !existsSync(file)) return;
  writeAtomically(file, `${JSON.stringify({ schema: 'kpatch.revoked-keys/1', keys }, null, 1)}\n`);
}

/** The support windows, for `kpatch status`. Without them the update goes on. */
async function keepWindows(base: string, source: Source, report: Reporter): Promise<void> {
  const file = targetFiles(verifiedTargets(base)).get(kernelsTarget);
  if (file === undefined) return;
  const path = join(base, kernelsTarget);
  if (existsSync(path) && sha256(readBytes(path)) === file.sha256) return;
  try {
    writeAtomically(path, await readTarget(source, file));
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    report.warn(error.message);
  }
}

function knows(base: string, release: string, listed: ReadonlyMap<string, unknown>): boolean {
  if (listed.has(release)) return true;
  return windowsOf(base).includes(release);
}

/** Kernels in the channel's list of support windows. */
function windowsOf(base: string): string[] {
  try {
    const { kernels } = storedDocument('kpatch.channel-kernels/1', readJSON(join(base, kernelsTarget)));
    return kernels.map(({ release }) => release);
  } catch {
    return [];
  }
}

/** Removes what is neither waiting nor listed any more. */
function sweepData(folder: string, pending: ReadonlySet<string>): void {
  for (const entry of existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) sweepData(path, pending);
    else if (!pending.has(path)) rmSync(path, { force: true });
  }
}
