/** Reads an object into a model: each section classified and divided into parts. */
import { SHT } from '../../formats/elf/constants.ts';
import type { ElfObject, Section } from '../../formats/elf/object.ts';
import type { Architecture } from '../../platform/platform.ts';
import { Model, type Part } from './part.ts';
import { kindOfSection, type SectionKind } from './section-class.ts';
import { fragmentCuts, split, symbolsBySection } from './split.ts';

/** The model of an object; `tables` names the special sections of its architecture. */
export function readModel(object: ElfObject, arch: Architecture, tables: ReadonlySet<string>): Model {
  const kinds = new Map<Section, SectionKind>();
  for (const section of object.sections) {
    // Only the linker uses a list of addresses, whatever its flags say.
    const list = arch.addressList?.(section.name) === true;
    kinds.set(section, list ? { class: 'read-only', phase: 'always' } : kindOfSection(section, tables));
  }
  return new Model(object, arch, kinds, divide);
}

function divide(model: Model): Map<Section, Part[]> {
  const symbols = symbolsBySection(model.object, model.arch);
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
