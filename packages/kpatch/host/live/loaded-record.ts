/**
 * Records of loaded modules, because the kernel keeps neither their manifest nor their digest. They are in `/run`, so they
 * disappear at reboot.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { storedDocument } from '../../documents/form.ts';
import { type Manifest, parseManifest } from '../../module/manifest.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import type { ModuleFile } from '../store/module-file.ts';
import { moduleBuildId } from './livepatches.ts';

export interface LoadedRecord {
  readonly sha256: string;
  readonly manifest: Manifest | undefined;
  /** Time of the load, ISO 8601. */
  readonly loaded: string;
  /** Duration of the transition, seconds. */
  readonly seconds: number;
}

/** Records a loaded module. With a full or read-only `/run` it does nothing. */
export function writeRecord(machine: Machine, module: ModuleFile, seconds: number): void {
  const { sha256, manifest, buildId } = module;
  const text = manifest === undefined ? undefined : JSON.stringify(manifest);
  const record = { sha256, buildId, manifest: text, loaded: machine.clock.date().toISOString(), seconds };
  try {
    mkdirSync(join(machine.run, 'loaded'), { recursive: true, mode: 0o755 });
    writeAtomically(recordPath(machine, module.name), JSON.stringify(record));
  } catch {
    // see above
  }
}

/** The record of a loaded module; `undefined` if another program loaded it, even under a recorded name. */
export function readRecord(machine: Machine, name: string): LoadedRecord | undefined {
  try {
    const record = storedDocument('kpatch.loaded', JSON.parse(attribute(recordPath(machine, name)) ?? ''));
    const { sha256, buildId, manifest, loaded, seconds } = record;
    const now = moduleBuildId(machine, name);
    if (buildId !== undefined && now !== undefined && buildId !== now) return undefined;
    return {
      sha256,
      loaded,
      seconds,
      manifest: typeof manifest === 'string' ? parseManifest(manifest, name) : undefined,
    };
  } catch {
    return undefined;
  }
}

/** Removes the record of an unloaded module. */
export function removeRecord(machine: Machine, name: string): void {
  rmSync(recordPath(machine, name), { force: true });
}

function recordPath(machine: Machine, name: string): string {
  return join(machine.run, 'loaded', `${name}.json`);
}
