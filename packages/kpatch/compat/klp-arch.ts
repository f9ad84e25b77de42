/**
 * Sections `.klp.arch.OBJECT.SECTION`: before Linux 5.8 (commit 1d05334d2899) the module loader applied alternatives and
 * paravirtual calls of a live patch before its livepatch relocations, so these tables stood aside until those were done.
 */
import { SHF, SHT } from '../formats/elf/constants.ts';
import { type ElfObject, newSection, type Section } from '../formats/elf/object.ts';
import { readArchSections } from '../module/intermediate.ts';
import { dropSections } from '../module/make/klp.ts';
import { architectureOf } from '../platform/registry.ts';

/**
 * Moves the tables that `.kpatch.arch` names into sections of their own, one for each object, and takes them out of where
 * the loader finds them. The linker may leave out the padding of the last entry of a table, so the size of an entry counts:
 * that of `sizes`, or the machine's. Errors: `intermediate-malformed`, `elf-unsupported`.
 */
export function makeArchSections(object: ElfObject, sizes: Readonly<Record<string, number>> = {}): void {
  const early = architectureOf(object).loader?.early ?? {};
  const sections = new Map<string, Section>();
  for (const { section: base, object: patched } of readArchSections(object)) {
    const name = `.klp.arch.${patched}.${base.name}`;
    const section =
      sections.get(name) ?? newSection({ name, type: SHT.PROGBITS, flags: SHF.ALLOC, addralign: 8, entsize: 1 });
    sections.set(name, section);
    const unit = sizes[base.name] ?? early[base.name] ?? 1;
    const start = Math.ceil(section.data.length / unit) * unit;
    const data = new Uint8Array(start + base.data.length);
    data.set(section.data);
    data.set(base.data, start);
    section.data = data;
    for (const relocation of base.relocations) {
      section.relocations.push({ ...relocation, offset: relocation.offset + start });
    }
  }
  dropSections(object, ({ name }) => name === '.kpatch.arch' || name in early);
  object.sections.push(...sections.values());
}
