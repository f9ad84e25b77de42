/**
 * What packages have unpacked, `/usr/lib/kpatch/RELEASE/`, compared with the store. Packages hold data only; this is called by
 * the trigger of kpatch's own package and by `kpatch update`, and the host policy decides as everywhere.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { readBytes, readRegularFile, writeAtomically } from '../../base/files.ts';
import { parseJSON, readJSON } from '../../base/plain.ts';
import type { Reporter } from '../../base/report.ts';
import { storedDocument } from '../../documents/form.ts';
import { unloadPatch } from '../../host/live/unload.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { type Machine, thisMachine } from '../../host/machine/machine.ts';
import { runningKernel } from '../../host/machine/running-kernel.ts';
import { installModule, uninstallPatch } from '../../host/store/install.ts';
import { moduleFileOf } from '../../host/store/module-file.ts';
import { installedPatches, recordOf } from '../../host/store/store.ts';
import { aptKeyring, clientFolder, rpmKeyFile } from '../client-names.ts';
import { packageFolder } from '../package/livepatch.ts';
import { type LivePatchRecord, readRecord, versionText } from '../package/record.ts';
import { removalUnloads } from './settings.ts';

export interface Settled {
  /** Patches that were installed or uninstalled, as `RELEASE NAME`. */
  readonly installed: readonly string[];
  readonly removed: readonly string[];
  /** Patches that are unpacked and not in use, each with the reason. */
  readonly waiting: readonly string[];
}

interface Came {
  readonly release: string;
  readonly name: string;
  readonly sha256: string;
}

/** How long a command waits for another one on this machine. */
const LOCK_WAIT_MS = 600_000;

/** The records of the live patch packages that are unpacked. A file that is not a record is left out. */
export function unpacked(root: string): { record: LivePatchRecord; folder: string }[] {
  const base = join(root, 'usr/lib/kpatch');
  const kernels = existsSync(base) ? readdirSync(base) : [];
  return kernels.flatMap((kernel) => {
    const file = join(root, packageFolder(kernel), 'advisory.json');
    if (!existsSync(file)) return [];
    try {
      const record = readRecord(parseJSON(readBytes(file), file), file);
      return record.kernel === kernel ? [{ record, folder: join(root, packageFolder(kernel)) }] : [];
    } catch {
      return [];
    }
  });
}

/** Compares and acts. Errors: `locked`, `not-root`; a patch that is refused is in `waiting`. */
export function settleUnpacked(root: string, report: Reporter): Promise<Settled> {
  const machine = thisMachine(root);
  return withLock(machine, report, LOCK_WAIT_MS, async () => {
    renewKeys(root);
    const packages = unpacked(root);
    const before = readCame(root);
    const installed: string[] = [];
    const waiting: string[] = [];
    const came: Came[] = [];
    for (const { record, folder } of packages) {
      if (record.module === null) continue;
      const { name, sha256: digest } = record.module;
      const one = { release: record.kernel, name, sha256: digest };
      try {
        if (recordOf(machine, record.kernel, digest) === undefined) {
          await installUnpacked(machine, record, join(folder, `${name}.ko`), report);
          installed.push(`${record.kernel} ${name}`);
        }
        came.push(one);
      } catch (error) {
        if (!(error instanceof KpatchError)) throw error;
        // What a package brought before stays known, so that removing the package removes it.
        waiting.push(`${record.kernel} ${versionText(record)}: ${error.message}`);
      }
    }
    const here = new Set(came.map((one) => one.sha256));
    const named = new Set(packages.flatMap(({ record }) => record.kernel));
    const gone = before.filter((one) => !here.has(one.sha256) && !named.has(one.release));
    const removed: string[] = [];
    for (const one of gone)
      if (await removeUnpacked(machine, root, one, report)) removed.push(`${one.release} ${one.name}`);
    // While a successor is refused, what its predecessor brought is still installed.
    const kept = before.filter((one) => !here.has(one.sha256) && named.has(one.release) && isInstalled(machine, one));
    writeCame(root, [...came, ...kept]);
    return { installed, removed, waiting };
  });
}

function isInstalled(machine: Machine, { release, sha256: digest }: Came): boolean {
  return recordOf(machine, release, digest) !== undefined;
}

async function installUnpacked(
  machine: Machine,
  record: LivePatchRecord,
  file: string,
  report: Reporter,
): Promise<void> {
  const module = moduleFileOf(readRegularFile(file), file);
  if (module.sha256 !== record.module?.sha256)
    throw failure('channel-package', { file, problem: 'its module does not match its record' }, { where: { file } });
  await installModule(machine, module, { release: record.kernel, unattended: true }, report);
}

/** A package that was removed: its patch does not come back at boot, and leaves the kernel if the settings say so. */
async function removeUnpacked(machine: Machine, root: string, came: Came, report: Reporter): Promise<boolean> {
  const { release } = came;
  const patch = installedPatches(machine, release).find((one) => one.sha256 === came.sha256);
  if (patch === undefined) return false;
  await uninstallPatch(machine, patch.name, { release, unattended: true }, report);
  if (removalUnloads(root) && !machine.offline && runningKernel(machine).release === release) {
    try {
      await unloadPatch(machine, patch.name, {}, report);
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      report.warn(error.message);
    }
  }
  return true;
}

/** The keys that the package kpatch-channel brings. Only a machine that follows by packages has the files. */
function renewKeys(root: string): void {
  for (const [from, to] of [
    ['keyring.gpg', aptKeyring],
    ['keyring.asc', rpmKeyFile],
  ] as const) {
    const [source, target] = [join(root, clientFolder, from), join(root, to)];
    if (!existsSync(source) || !existsSync(target)) continue;
    const bytes = readRegularFile(source);
    if (!bytes.equals(readBytes(target))) writeAtomically(target, bytes);
  }
}

const cameFile = (root: string): string => join(root, 'var/lib/kpatch/unpacked.json');

/** What packages brought into the store; empty if nothing is known. */
function readCame(root: string): readonly Came[] {
  try {
    return storedDocument('kpatch.unpacked/1', readJSON(cameFile(root))).patches;
  } catch {
    return [];
  }
}

function writeCame(root: string, patches: readonly Came[]): void {
  if (patches.length === 0 && !existsSync(cameFile(root))) return;
  mkdirSync(dirname(cameFile(root)), { recursive: true });
  writeAtomically(cameFile(root), `${JSON.stringify({ schema: 'kpatch.unpacked/1', patches }, null, 1)}\n`);
}
