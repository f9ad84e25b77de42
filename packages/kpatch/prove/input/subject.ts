/** The module to prove, with its own metadata. */
import { basename } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { fail } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { STT } from '../../formats/elf/constants.ts';
import { ElfFile } from '../../formats/elf/file.ts';
import { modinfoOf, modinfoValue } from '../../formats/elf/modinfo.ts';
import { readObject } from '../../formats/elf/read-object.ts';
import { type Manifest, readManifest } from '../../module/manifest.ts';
import { replacedFunctions } from '../../module/tables.ts';

export interface PatchedFunction {
  readonly name: string;
  /** `vmlinux` or a module. */
  readonly object: string;
  /** From 1; 0 if the name is unique in its object. */
  readonly sympos: number;
}

export interface Subject {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** Name of the module in the kernel. */
  readonly name: string;
  /** The kernel release it was built for. */
  readonly release: string;
  readonly vermagic: string;
  /** Absent if another tool built the module. */
  readonly manifest: Manifest | undefined;
  /**
   * From the manifest or the tables of the module; undefined if it has neither, then the kernel lists them after the load.
   */
  readonly functions: readonly PatchedFunction[] | undefined;
  /** Kernel modules that the patch changes, as far as the file shows. */
  readonly targetModules: readonly string[];
  /** Names of all functions in the module. */
  readonly functionSymbols: readonly string[];
}

/** Reads a livepatch module. Errors: `file-unreadable`, those of reading ELF, `prove-not-livepatch`, `manifest-damaged`. */
export function readSubject(file: string): Subject {
  const bytes = readBytes(file);
  const refuse = (problem: string): Error => fail('prove-not-livepatch', { file, problem }, { where: { file } });
  if (bytes.subarray(0, 4).toString('latin1') !== '\x7fELF') throw refuse('it is not an ELF file');
  const elf = new ElfFile(bytes, file);
  const info = modinfoOf(elf);
  const vermagic = modinfoValue(info, 'vermagic');
  const name = modinfoValue(info, 'name')?.replaceAll('-', '_');
  if (vermagic === undefined || name === undefined) throw refuse('it is not a kernel module');
  if (!/^\w{1,55}$/.test(name)) throw refuse('its name is not a valid module name');
  // include/linux/livepatch.h: livepatch modules are marked with MODULE_INFO(livepatch, "Y").
  if (modinfoValue(info, 'livepatch') === undefined) throw refuse('it is not marked as a livepatch module');
  const manifest = readManifest(elf);
  const functions = manifest?.functions ?? replacedFunctions(readObject(bytes, file));
  const objects = [...(functions ?? []).map(({ object }) => object), ...objectsOf(elf)];
  return {
    file,
    bytes,
    sha256: sha256(bytes),
    name,
    release: vermagic.split(' ')[0] ?? '',
    vermagic,
    manifest,
    functions: functions?.map(({ name, object, sympos }) => ({ name, object, sympos })),
    targetModules: [...new Set(objects)].filter((object) => object !== 'vmlinux' && /^\w+$/.test(object)).sort(),
    functionSymbols: elf.symbols().flatMap(({ name, type, shndx }) => (type === STT.FUNC && shndx !== 0 ? [name] : [])),
  };
}

/**
 * The objects named by livepatch relocations: `.klp.rela.OBJECT.SECTION` (Documentation/livepatch/module-elf-format.rst).
 */
function objectsOf(elf: ElfFile): string[] {
  return elf.sections.flatMap(({ name }) => /^\.klp\.rela\.([^.]+)\./.exec(name)?.[1] ?? []);
}

/** `meminfo_proc_show`, or with object and position if they are not vmlinux and 1: `floppy:redo_fd_request,2`. */
export function functionName({ name, object, sympos }: PatchedFunction): string {
  return `${object === 'vmlinux' ? '' : `${object}:`}${name}${sympos > 1 ? `,${sympos}` : ''}`;
}

/** The file name of the module, for messages. */
export function subjectName(subject: Subject): string {
  return basename(subject.file);
}
