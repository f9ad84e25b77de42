/** Livepatch module files as the host takes them, including those built by other tools. */
import { failure } from '../../base/errors/error.ts';
import { readRegularFile } from '../../base/files.ts';
import { compressionOf } from '../../formats/compression.ts';
import { type LivepatchFacts, livepatchFacts, ModuleContent } from '../../module/content.ts';
import type { Manifest } from '../../module/manifest.ts';

/** The members of `ModuleContent` that have the same names, as plain data. */
export interface ModuleFile extends LivepatchFacts {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Digest of the whole file, including the signature. */
  readonly sha256: string;
  /** True if a signature is appended; only the kernel can tell whether it accepts it. */
  readonly signed: boolean;
  /** Build-id of the module, hexadecimal. */
  readonly buildId: string | undefined;
  readonly description: string | undefined;
  /** Absent if another tool built the module. */
  readonly manifest: Manifest | undefined;
}

/**
 * Reads a livepatch module. Errors: `file-unreadable`, those of reading ELF, `module-not-livepatch`, `module-compressed`,
 * `manifest-damaged`.
 */
export function readModuleFile(path: string): ModuleFile {
  return moduleFileOf(readRegularFile(path), path);
}

/** Like `readModuleFile`, from bytes; `path` is for messages. */
export function moduleFileOf(bytes: Uint8Array, path: string): ModuleFile {
  const where = { where: { file: path } };
  const compression = compressionOf(bytes);
  if (compression !== undefined) throw failure('module-compressed', { file: path, compression }, where);
  const module = new ModuleContent(bytes, path);
  const facts = livepatchFacts(module);
  if (typeof facts === 'string') throw failure('module-not-livepatch', { file: path, problem: facts }, where);
  const { sha256, signed, buildId, description, manifest } = module;
  return { path, bytes, ...facts, sha256, signed, buildId, description, manifest };
}

/** The module name for a file name or a name typed by the user: no folder, no `.ko`, `_` for `-`. */
export function moduleNameOf(file: string): string {
  return file
    .slice(file.lastIndexOf('/') + 1)
    .replace(/\.ko$/, '')
    .replaceAll('-', '_');
}

/** The line of cumulative patches that a manifest belongs to; versions are compared only within a line. */
export function lineOf(manifest: Manifest): string {
  return manifest.line ?? '';
}
