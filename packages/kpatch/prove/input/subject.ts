import { failure } from '../../base/errors/error.ts';
import { readRegularFile } from '../../base/files.ts';
import { STT } from '../../formats/elf/constants.ts';
import { type LivepatchFacts, livepatchFacts, ModuleContent } from '../../module/content.ts';
import type { Manifest } from '../../module/manifest.ts';
import { type ReplacedFunction, relocatedObjects, replacedBy } from '../../module/tables.ts';

export interface Subject extends LivepatchFacts {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** Absent if another tool built the module. */
  readonly manifest: Manifest | undefined;
  /**
   * From the manifest or the tables of the module; undefined if it has neither, then the kernel lists them after the load.
   */
  readonly functions: readonly ReplacedFunction[] | undefined;
  /** Kernel modules that the patch changes, as far as the file shows. */
  readonly targetModules: readonly string[];
  /** Names of all functions in the module. */
  readonly functionSymbols: readonly string[];
}

/** Reads a livepatch module. Errors: `file-unreadable`, those of reading ELF, `prove-not-livepatch`, `manifest-damaged`. */
export function readSubject(file: string): Subject {
  const bytes = readRegularFile(file);
  const refuse = (problem: string): Error => failure('prove-not-livepatch', { file, problem }, { where: { file } });
  if (bytes.subarray(0, 4).toString('latin1') !== '\x7fELF') throw refuse('it is not an ELF file');
  const module = new ModuleContent(bytes, file);
  const facts = livepatchFacts(module);
  if (typeof facts === 'string') throw refuse(facts);
  const functions = replacedBy(module);
  const objects = [...(functions ?? []).map(({ object }) => object), ...relocatedObjects(module)];
  return {
    file,
    bytes,
    sha256: module.sha256,
    ...facts,
    manifest: module.manifest,
    functions: functions?.map(({ name, object, sympos }) => ({ name, object, sympos })),
    targetModules: [...new Set(objects)].filter((object) => object !== 'vmlinux' && /^\w+$/.test(object)).sort(),
    functionSymbols: module.elf
      .symbols()
      .flatMap(({ name, type, shndx }) => (type === STT.FUNC && shndx !== 0 ? [name] : [])),
  };
}

/** `meminfo_proc_show`, or with object and position if they are not vmlinux and 1: `floppy:redo_fd_request,2`. */
export function functionName({ name, object, sympos }: ReplacedFunction): string {
  return `${object === 'vmlinux' ? '' : `${object}:`}${name}${sympos > 1 ? `,${sympos}` : ''}`;
}

/** The kernel that the module was built for, as the module itself says it. */
export function kernelNamed({ release, manifest }: Subject): { release: string; buildId: string | undefined } {
  return { release, buildId: manifest?.buildId };
}
