/** Reads an object into a model: each section classified and divided into parts. */
import { SHF, SHT } from '../../formats/elf/constants.ts';
import type { ElfObject, Section } from '../../formats/elf/object.ts';
import type { Architecture } from '../../platform/platform.ts';
import { Model, type Part } from './part.ts';
import { kindOfSection, type SectionKind } from './section-class.ts';
import { fragmentCuts, type Located, split, symbolsBySection } from './split.ts';

/** The model of an object; `tables` names the special sections of its architecture. */
export function readModel(object: ElfObject, arch: Architecture, tables: ReadonlySet<string>): Model {
  const kinds = new Map<Section, SectionKind>();
  const symbols = symbolsBySection(object, arch);
  let referred: Set<Section> | undefined;
  for (const section of object.sections) {
    const kind = kindOf(section, arch, tables);
    // Code without a name of its own, as `.text..refcount` of 4.13 to 4.15, belongs to the code that jumps to it.
    const nameless = kind.class === 'text' && section.data.length > 0 && !symbols.has(section);
    if (nameless) referred ??= sectionsReferredTo(object);
    kinds.set(section, nameless && referred?.has(section) === true ? { ...kind, class: 'fragments' } : kind);
  }
  return new Model(object, arch, kinds, (model) => divide(model, symbols));
}

function kindOf(section: Section, arch: Architecture, tables: ReadonlySet<string>): SectionKind {
  // Only the linker uses a list of addresses, whatever its flags say.
  if (arch.addressList?.(section.name) === true) return { class: 'read-only', phase: 'always' };
  const started = arch.startList?.(section.name);
  const loadedData = (section.flags & (SHF.ALLOC | SHF.EXECINSTR)) === SHF.ALLOC && section.type !== SHT.NOTE;
  if (started !== undefined && loadedData) return { class: 'registry', phase: started };
  return kindOfSection(section, tables);
}

/** Sections that something in another section refers to. */
function sectionsReferredTo({ sections }: ElfObject): Set<Section> {
  const result = new Set<Section>();
  for (const section of sections) {
    if ((section.flags & SHF.EXECINSTR) === 0) continue;
    for (const { symbol } of section.relocations) {
      if (typeof symbol?.section === 'object' && symbol.section !== section) result.add(symbol.section);
    }
  }
  return result;
}

function divide(model: Model, symbols: ReadonlyMap<Section, Located[]>): Map<Section, Part[]> {
  const cuts = fragmentCuts(model);
  const parts = new Map<Section, Part[]>();
  for (const section of model.object.sections) {
    const kind = model.kindOf(section);
    if (kind.class === 'ignored' || kind.class === 'table') continue;
    if (section.type === SHT.RELA || section.type === SHT.GROUP) continue;
    parts.set(section, split(model, section, kind, symbols.get(section) ?? [], cuts.get(section)));
  }
  return parts;
}
