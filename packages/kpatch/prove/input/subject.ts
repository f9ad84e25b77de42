/** What is to be proven: one patch module, as it describes itself. */
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
  /** From 1; 0 where the name is unique in its object. */
  readonly sympos: number;
}

export interface Subject {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** As the kernel names the module. */
  readonly name: string;
  /** The release that it was built for. */
  readonly release: string;
  readonly vermagic: string;
  /** Absent where another program made the module. */
  readonly manifest: Manifest | undefined;
  /** From the manifest, or from its own tables; undefined where it has neither: then the kernel says after the load. */
  readonly functions: readonly PatchedFunction[] | undefined;
  /** Modules of the kernel that the patch changes, as far as the file tells. */
  readonly targetModules: readonly string[];
  /** Names of all functions that the module itself has. */
  readonly functionSymbols: readonly string[];
}

/** Reads a patch module. Errors: `file-unreadable`, those of reading ELF, `prove-not-livepatch`, `manifest-damaged`. */
export function readSubject(file: string): Subject {
  const bytes = readBytes(file);
  const refuse = (problem: string): Error => fail('prove-not-livepatch', { file, problem }, { where: { file } });
  if (bytes.subarray(0, 4).toString('latin1') !== '\x7fELF') throw refuse('it is not an ELF file');
  const elf = new ElfFile(bytes, file);
  const info = modinfoOf(elf);
  const vermagic = modinfoValue(info, 'vermagic');
  const name = modinfoValue(info, 'name')?.replaceAll('-', '_');
  if (vermagic === undefined || name === undefined) throw refuse('it is not a kernel module');
  if (!/^\w{1,55}$/.test(name)) throw refuse('its name is not one that the kernel takes');
  // include/linux/livepatch.h: a module that patches is marked by MODULE_INFO(livepatch, "Y").
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

/** The objects that livepatch relocations name: `.klp.rela.OBJECT.SECTION` (Documentation/livepatch/module-elf-format.rst). */
function objectsOf(elf: ElfFile): string[] {
  return elf.sections.flatMap(({ name }) => /^\.klp\.rela\.([^.]+)\./.exec(name)?.[1] ?? []);
}

/** `meminfo_proc_show`, or with its object and position where they are not the usual ones: `floppy:redo_fd_request,2`. */
export function functionName({ name, object, sympos }: PatchedFunction): string {
  return `${object === 'vmlinux' ? '' : `${object}:`}${name}${sympos > 1 ? `,${sympos}` : ''}`;
}

/** The module's file name for messages. */
export function subjectName(subject: Subject): string {
  return basename(subject.file);
}
