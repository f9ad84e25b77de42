/**
 * Turns the relocations that only the kernel can resolve into what it reads: sections `.klp.rela.OBJECT.SECTION` and
 * symbols `.klp.sym.OBJECT.NAME,POSITION` (Documentation/livepatch/module-elf-format.rst).
 */

import { failure } from '../../base/errors/error.ts';
import type { KernelReferent, KernelRelocation } from '../../differ/patch.ts';
import { SHF, SHT } from '../../formats/elf/constants.ts';
import { type ElfObject, type ElfSymbol, newSection, newSymbol, type Section } from '../../formats/elf/object.ts';
import { has, type KernelRules, longestName } from '../../platform/kernel-rules.ts';

/** Section index of symbols that the livepatch core resolves (include/uapi/linux/elf.h). */
export const SHN_LIVEPATCH = 0xff20;
/** Marks a relocation section as the livepatch core's (include/uapi/linux/elf.h). */
export const SHF_RELA_LIVEPATCH = 0x00100000;

/**
 * MODULE_NAME_LEN - 1 on 64-bit machines, the width that the kernel scans for an object's name (kernel/livepatch/core.c).
 */
const OBJECT_NAME = 55;
/**
 * Rewrites `object` in place: adds the relocations. `kernel` decides the rules on names and references.
 * Errors: `intermediate-malformed`, `klp-symbol-unnameable`, `klp-relocation-crosses`.
 */
export function makeLivepatchRelocations(
  object: ElfObject,
  relocations: readonly KernelRelocation[],
  kernel: Pick<KernelRules, 'major' | 'minor' | 'target'>,
): void {
  const limit = longestName(kernel);
  // Where relocations of vmlinux are not applied early, symbols of any object are looked up alike.
  const crossing = !has(kernel, 'earlyRelocations');
  const symbols = new Map<string, ElfSymbol>();
  const sections = new Map<string, Section>();
  for (const relocation of relocations) {
    const name = nameOf(relocation, limit, crossing);
    const symbol = symbols.get(name) ?? livepatchSymbol(name, relocation.symbol);
    symbols.set(name, symbol);
    // klp_resolve_symbols refuses vmlinux's symbols in relocations that wait for a module; but those of vmlinux are made
    // when
    // the patch is loaded, in whatever section of it.
    const home = !crossing && relocation.symbol.object === 'vmlinux' ? 'vmlinux' : relocation.object;
    const key = `.klp.rela.${home}.${relocation.section.name}`;
    const section = sections.get(key) ?? livepatchSection(key, relocation.section);
    sections.set(key, section);
    if (section.target !== relocation.section) {
      throw failure(
        'intermediate-malformed',
        { file: object.file, problem: `two sections are named ${relocation.section.name}` },
        { where: { file: object.file, section: relocation.section.name } },
      );
    }
    const { offset, type, addend } = relocation;
    section.relocations.push({ offset, type, symbol, addend });
  }
  for (const section of sections.values()) section.relocations.sort((a, b) => a.offset - b.offset);
  object.sections.push(...sections.values());
  object.symbols.push(...symbols.values());
}

function nameOf(relocation: KernelRelocation, limit: number, crossing: boolean): string {
  const { name, object, sympos } = relocation.symbol;
  const bytes = Buffer.byteLength(name);
  if (bytes > limit || Buffer.byteLength(object) > OBJECT_NAME || name.includes(',') || object.includes('.')) {
    throw failure('klp-symbol-unnameable', { symbol: name, object, limit }, { where: { symbol: name } });
  }
  // What vmlinux needs is needed at once, when no module must be there. A module's may refer to another that it depends on.
  if (!crossing && object !== relocation.object && relocation.object === 'vmlinux') {
    throw failure(
      'klp-relocation-crosses',
      { object: relocation.object, symbol: name, other: object },
      { where: { symbol: name } },
    );
  }
  return `.klp.sym.${object}.${name},${sympos}`;
}

function livepatchSymbol(name: string, { bind, type }: KernelReferent): ElfSymbol {
  return newSymbol({ name, bind, type, section: SHN_LIVEPATCH });
}

function livepatchSection(name: string, target: Section): Section {
  const flags = SHF_RELA_LIVEPATCH | SHF.INFO_LINK | SHF.ALLOC;
  return newSection({ name, type: SHT.RELA, flags, addralign: 8, entsize: 24, target });
}

/** Takes sections out of an object, with the symbols defined in them. */
export function dropSections(object: ElfObject, drop: (section: Section) => boolean): void {
  const dropped = new Set(object.sections.filter(drop));
  object.sections = object.sections.filter((section) => !dropped.has(section));
  object.symbols = object.symbols.filter(({ section }) => typeof section !== 'object' || !dropped.has(section));
}
