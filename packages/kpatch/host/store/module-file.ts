/** Reads livepatch module files, including those built by other tools. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { sha256 } from '../../base/digest.ts';
import { fail, KpatchError } from '../../base/errors/error.ts';
import { reasonOf } from '../../base/files.ts';
import { isPlainText } from '../../base/printable.ts';
import { ElfFile } from '../../formats/elf/file.ts';
import { modinfoOf, modinfoValue } from '../../formats/elf/modinfo.ts';
import { type Manifest, readManifest } from '../../module/manifest.ts';

export interface ModuleFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** The name in the kernel (with `_` for `-`). */
  readonly name: string;
  /** The kernel release: the first word of vermagic. */
  readonly release: string;
  readonly vermagic: string;
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

/** The end of a module with an appended signature (include/linux/module_signature.h). */
const SIGNATURE_MAGIC = '~Module signature appended~\n';
/** The kernel's limit for module names on 64-bit machines: MODULE_NAME_LEN minus the NUL. */
const NAME_LIMIT = 55;

/**
 * Reads a livepatch module. Errors: `file-unreadable`, those of reading ELF, `module-not-livepatch`, `module-compressed`,
 * `manifest-damaged`.
 */
export function readModuleFile(path: string): ModuleFile {
  return moduleFileOf(readRegularFile(path), path);
}

/** Reads a regular file; a pipe or device could block a boot for ever. Error: `file-unreadable`. */
export function readRegularFile(path: string): Buffer {
  const unreadable = (reason: string, cause?: unknown): Error =>
    fail('file-unreadable', { file: path, reason }, { where: { file: path }, cause });
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(reasonOf(error), error);
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isFile()) return readFileSync(fd);
    throw unreadable(reasonOf(stat.isDirectory() ? { code: 'EISDIR' } : { message: 'it is not a regular file' }));
  } catch (error) {
    throw error instanceof KpatchError ? error : unreadable(reasonOf(error), error);
  } finally {
    closeSync(fd);
  }
}

/** Like `readModuleFile`, from bytes; `path` is for messages. */
export function moduleFileOf(bytes: Uint8Array, path: string): ModuleFile {
  const where = { where: { file: path } };
  const compression = compressionOf(bytes);
  if (compression !== undefined) throw fail('module-compressed', { file: path, compression }, where);
  const elf = new ElfFile(bytes, path);
  const info = modinfoOf(elf);
  const refuse = (problem: string): Error => fail('module-not-livepatch', { file: path, problem }, where);
  const vermagic = modinfoValue(info, 'vermagic');
  const name = modinfoValue(info, 'name')?.replaceAll('-', '_');
  if (vermagic === undefined || name === undefined) throw refuse('it is not a kernel module');
  if (!/^\w+$/.test(name) || name.length > NAME_LIMIT) throw refuse('its name is not a valid module name');
  const description = modinfoValue(info, 'description');
  if (![vermagic, description ?? ''].every(isPlainText))
    throw refuse('its modinfo contains control or bidirectional characters');
  // include/linux/livepatch.h: livepatch modules are marked with MODULE_INFO(livepatch, "Y").
  if (modinfoValue(info, 'livepatch') === undefined) throw refuse('it is not marked as a livepatch module');
  return {
    path,
    bytes,
    name,
    release: vermagic.split(' ')[0] ?? '',
    vermagic,
    sha256: sha256(bytes),
    signed: Buffer.from(bytes.subarray(-SIGNATURE_MAGIC.length)).toString('latin1') === SIGNATURE_MAGIC,
    buildId: elf.buildId(),
    description,
    manifest: readManifest(elf),
  };
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

function compressionOf(bytes: Uint8Array): string | undefined {
  const begins = (...magic: number[]): boolean => magic.every((byte, i) => bytes[i] === byte);
  if (begins(0x1f, 0x8b)) return 'gzip';
  if (begins(0xfd, 0x37, 0x7a, 0x58, 0x5a)) return 'xz';
  if (begins(0x28, 0xb5, 0x2f, 0xfd)) return 'zstd';
  return undefined;
}
