/** The modules and proofs of a channel by their digests, `pool/module/`: what machines that follow by TUF get as data. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { failure } from '../../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../../base/files.ts';
import { readPackage } from '../../package/read.ts';
import type { LivePatchRecord } from '../../package/record.ts';
import type { PatchModule } from '../../patch-module.ts';
import { layout } from '../config.ts';
import type { PublishedPatch } from '../kernel.ts';

/** File names in the pool of what a patch consists of. */
export function modulePoolNames({ record }: Pick<PublishedPatch, 'record'>): string[] {
  const { module } = record;
  if (module === null) return [];
  const { proof, provenance } = companionNames(record);
  return [`${module.sha256}.ko`, ...[proof, provenance].filter((name) => name !== undefined)];
}

/** The same for what accompanies the module. */
export function companionNames({ proof, provenance }: LivePatchRecord): {
  readonly proof: string | undefined;
  readonly provenance: string | undefined;
} {
  return {
    proof: proof === null ? undefined : `${proof}.proof.json`,
    provenance: provenance === null || provenance === undefined ? undefined : `${provenance}.provenance.json`,
  };
}

/** Keeps a module, its proof and its provenance. Errors: `disk-full`, `file-unwritable`. */
export function keepModule(folder: string, module: PatchModule): void {
  const { modules } = layout(folder);
  mkdirSync(modules, { recursive: true });
  const put = (name: string, bytes: Uint8Array): void => {
    if (!existsSync(join(modules, name))) writeAtomically(join(modules, name), bytes);
  };
  const { proof, provenance } = module;
  if (proof !== undefined) put(`${sha256(proof)}.proof.json`, proof);
  if (provenance !== undefined) put(`${sha256(provenance)}.provenance.json`, provenance);
  put(`${module.sha256}.ko`, module.bytes);
}

/**
 * The file in the pool with these contents. A channel that an earlier version made has them only in its packages.
 * Errors: `channel-damaged`, those of reading a package.
 */
export async function poolModule(folder: string, patch: PublishedPatch, name: string): Promise<string> {
  const { modules, pool } = layout(folder);
  const file = join(modules, name);
  if (!existsSync(file) && patch.deb !== null) {
    const { module } = await readPackage(join(pool.deb, patch.deb.file));
    if (module !== undefined) keepModule(folder, module);
  }
  const damaged = (problem: string): Error => failure('channel-damaged', { folder, problem });
  if (!existsSync(file)) throw damaged(`${name} is missing from the pool`);
  if (sha256(readBytes(file)) !== name.slice(0, 64)) throw damaged(`${name} in the pool has other contents`);
  return file;
}
