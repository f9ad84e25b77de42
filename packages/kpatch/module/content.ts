/**
 * The one reader of module files: what the bytes say of themselves. Nothing is judged here. Host, proof, channel and builder
 * read a module through this and each decide for themselves what they accept.
 */
import { sha256 } from '../base/digest.ts';
import { failure } from '../base/errors/error.ts';
import { readRegularFile } from '../base/files.ts';
import { isPlainText } from '../base/text/printable.ts';
import { isSigned, splitSignature } from '../formats/appended-signature.ts';
import { type ModinfoField, modinfoOf, modinfoValue } from '../formats/elf/modinfo.ts';
import { ObjectFile } from '../formats/elf/object-file.ts';
import { machineName } from '../platform/registry.ts';
import { type Manifest, manifestSection, readManifest } from './manifest.ts';
import { isModuleName } from './name.ts';

export class ModuleContent extends ObjectFile {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly modinfo: readonly ModinfoField[];
  #sha256: string | undefined;
  #manifest: { readonly value: Manifest | undefined } | undefined;

  /** `file` is for messages. Errors: those of reading ELF. */
  constructor(bytes: Uint8Array, file: string) {
    super(bytes, file);
    this.file = file;
    this.bytes = bytes;
    this.modinfo = modinfoOf(this.elf);
  }

  /** The name in the kernel, with `_` for `-`. */
  get name(): string | undefined {
    return modinfoValue(this.modinfo, 'name')?.replaceAll('-', '_');
  }

  get vermagic(): string | undefined {
    return modinfoValue(this.modinfo, 'vermagic');
  }

  /** The kernel release that it is for: the first word of vermagic. */
  get release(): string | undefined {
    return this.vermagic?.split(' ')[0];
  }

  get description(): string | undefined {
    return modinfoValue(this.modinfo, 'description');
  }

  /** True if it is marked as a livepatch module: MODULE_INFO(livepatch, "Y") (include/linux/livepatch.h). */
  get livepatch(): boolean {
    return modinfoValue(this.modinfo, 'livepatch') !== undefined;
  }

  /** True if a signature is appended; what it is worth: `signature-rules.ts`. */
  get signed(): boolean {
    return isSigned(this.bytes);
  }

  /** Digest of the whole file, including the signature. */
  get sha256(): string {
    this.#sha256 ??= sha256(this.bytes);
    return this.#sha256;
  }

  /** The module without an appended signature, a view. Error: `signature-malformed`. */
  get unsigned(): Uint8Array {
    const parts = splitSignature(this.bytes);
    if (parts === undefined) return this.bytes;
    const { file } = this;
    if (typeof parts === 'string') throw failure('signature-malformed', { file, problem: parts }, { where: { file } });
    return parts.module;
  }

  /** Build id of the module, hexadecimal. Error: `elf-malformed`. */
  get buildId(): string | undefined {
    return this.elf.buildId();
  }

  /** The machine that it runs on, like `uname -m`. */
  get arch(): string {
    return machineName(this.elf);
  }

  /** Undefined if another tool built the module. Error: `manifest-damaged`, also for the manifest of another machine's module. */
  get manifest(): Manifest | undefined {
    this.#manifest ??= { value: this.#ownManifest() };
    return this.#manifest.value;
  }

  #ownManifest(): Manifest | undefined {
    const manifest = readManifest(this.elf);
    if (manifest === undefined || manifest.arch === this.arch) return manifest;
    const problem = `it is for ${manifest.arch}, but the module is for ${this.arch}`;
    throw failure('manifest-damaged', { file: this.file, problem }, { where: { file: this.file } });
  }
}

/** Sections by which hosts and the kernel decide. */
const decisive = ['.modinfo', manifestSection, '.gnu.linkonce.this_module'];

/** What every livepatch module says of itself. */
export interface LivepatchFacts {
  readonly name: string;
  readonly release: string;
  readonly vermagic: string;
  /** Like `uname -m`. */
  readonly arch: string;
}

/** Reads a module file. Errors: `file-unreadable` (also if it is no regular file), those of reading ELF. */
export function readModuleContent(file: string): ModuleContent {
  return new ModuleContent(readRegularFile(file), file);
}

/** The facts of a livepatch module; for any other file the reason, in words, why it is not one. */
export function livepatchFacts(module: ModuleContent): LivepatchFacts | string {
  const { name, vermagic, release, description, livepatch, arch } = module;
  if (name === undefined || vermagic === undefined || release === undefined) return 'it is not a kernel module';
  if (!isModuleName(name)) return 'its name is not a valid module name';
  if (![vermagic, description ?? ''].every(isPlainText))
    return 'its modinfo contains control or bidirectional characters';
  if (!livepatch) return 'it is not marked as a livepatch module';
  // Where a section is there twice, the kernel may read the other one.
  const twice = decisive.find((one) => module.elf.sections.filter((section) => section.name === one).length > 1);
  if (twice !== undefined) return `it has the section ${twice} twice`;
  const { manifest } = module;
  if (manifest !== undefined && manifest.name.replaceAll('-', '_') !== name)
    return `its manifest is that of a module named ${manifest.name}`;
  return { name, release, vermagic, arch };
}
