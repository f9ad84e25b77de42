/**
 * A stand-in for a kernel module whose hardware no guest has: the same file without its init and exit functions. The kernel loads
 * it, applies its relocations and tells livepatch of it, as of the module itself; then nothing runs. So everything about
 * patching it can be tried except the run of its code.
 */
import { splitSignature } from '../../formats/appended-signature.ts';
import { SHT } from '../../formats/elf/constants.ts';
import { ElfFile } from '../../formats/elf/file.ts';

/** `struct module` of the module itself; its relocations are its pointers to the init and exit functions (scripts/mod/modpost.c). */
const THIS_MODULE = '.gnu.linkonce.this_module';

/** Size of `Elf64_Rela`, and where its `r_info` begins. */
const RELA = 24;
const R_INFO = 8;

/** The stand-in; undefined if the file is not one that a stand-in can be made of. Errors: those of reading ELF. */
export function standIn(module: Uint8Array, file: string): Uint8Array | undefined {
  const elf = new ElfFile(module, file);
  const own = elf.sections.find(({ name }) => name === THIS_MODULE);
  const pointers = elf.sections.find(({ type, info }) => type === SHT.RELA && own !== undefined && info === own.index);
  if (pointers === undefined) return undefined;
  const copy = Buffer.from(module);
  // Type 0 is "no relocation" on every machine: the pointers stay zero, and the kernel calls nothing.
  for (let at = 0; at + RELA <= pointers.size; at += RELA)
    copy.fill(0, pointers.offset + at + R_INFO, pointers.offset + at + 16);
  // The signature does not fit any more, and the kernel refuses a wrong one where it would take none.
  const signed = splitSignature(copy);
  return typeof signed === 'object' ? signed.module : copy;
}
