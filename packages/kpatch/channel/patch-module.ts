/** A livepatch module file with what belongs to it: the manifest, its signature, the proof beside it. */
import { existsSync } from 'node:fs';
import { isCveId } from '../advisory/record.ts';
import { sha256 } from '../base/digest.ts';
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { object, parseJSON, text } from '../base/plain.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { modinfoOf, modinfoValue } from '../formats/elf/modinfo.ts';
import { type Manifest, readManifest } from '../module/manifest.ts';
import { proofPath } from '../module/proof-path.ts';

export interface PatchModule {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  readonly sha256: string;
  /** True if a signature is appended, as the kernel reads it (include/linux/module_signature.h). */
  readonly signed: boolean;
  /** The proof file's bytes, where there is one beside the module. */
  readonly proof: Uint8Array | undefined;
}

const signatureMagic = '~Module signature appended~\n';

/** What may be part of a file name, a package name and a script without quoting. */
const safeName = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;
const safeModule = /^[A-Za-z0-9_]{1,55}$/;

/** True for text that can be a kernel release. */
export function isRelease(release: string): boolean {
  return safeName.test(release) && release.length <= 64;
}

/**
 * Reads a livepatch module and checks what packaging relies on.
 * Errors: `file-unreadable`, those of reading ELF, `manifest-damaged`, `channel-module`, `channel-proof-mismatch`.
 */
export function readPatchModule(file: string, proofFile = proofPath(file)): PatchModule {
  const bytes = readBytes(file);
  const proof = existsSync(proofFile) ? readBytes(proofFile) : undefined;
  return patchModuleOf(bytes, file, proof);
}

/** The same from bytes, for modules read out of a package. */
export function patchModuleOf(bytes: Uint8Array, file: string, proof: Uint8Array | undefined): PatchModule {
  const elf = new ElfFile(bytes, file);
  const bad = (problem: string): Error => fail('channel-module', { file, problem }, { where: { file } });
  const manifest = readManifest(elf);
  if (manifest === undefined) throw bad('it has no manifest, so kpatch build did not build it');
  if (!safeModule.test(manifest.name)) throw bad(`'${manifest.name}' is not a module name`);
  if (!isRelease(manifest.release)) throw bad(`'${manifest.release}' is not a kernel release`);
  if (manifest.version < 1) throw bad('its version is 0; versions start at 1');
  const wrong = manifest.cves.find((cve) => !isCveId(cve));
  if (wrong !== undefined) throw bad(`'${wrong}' is not a CVE id`);
  const vermagic = modinfoValue(modinfoOf(elf), 'vermagic') ?? '';
  if (vermagic.split(' ')[0] !== manifest.release) {
    throw bad(`its manifest is for ${manifest.release}, but its vermagic is '${vermagic}'`);
  }
  const digest = sha256(bytes);
  if (proof !== undefined && !proofIsOf(proof, digest, file)) {
    throw fail('channel-proof-mismatch', { file }, { where: { file: proofPath(file) } });
  }
  return { file, bytes, manifest, sha256: digest, signed: isSigned(bytes), proof };
}

/** True if the module ends as a signed one does. */
export function isSigned(module: Uint8Array): boolean {
  return Buffer.from(module.subarray(-signatureMagic.length)).toString('latin1') === signatureMagic;
}

function proofIsOf(proof: Uint8Array, digest: string, file: string): boolean {
  const document = object(parseJSON(proof, proofPath(file)));
  const module = object(document.module);
  return text(module.sha256) === digest;
}

/** True if the proof's verdict is that the patch is proven. */
export function isProven(proof: Uint8Array | undefined): boolean {
  if (proof === undefined) return false;
  return text(object(parseJSON(proof, 'the proof')).verdict) === 'proven';
}
