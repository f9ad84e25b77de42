/**
 * Where livepatch relocations are, through the link: the linker joins sections, so a place is only known afterwards. Each part gets a
 * section of marks that the linker takes along. A mark is a pointer to the place, and the index of the relocation.
 */
import { failure } from '../../base/errors/error.ts';
import type { KernelRelocation } from '../../differ/patch.ts';
import { SHF, STB, STT } from '../../formats/elf/constants.ts';
import { definedIn, type ElfObject, newSection, newSymbol, type Section } from '../../formats/elf/object.ts';
import { architectureOf } from '../../platform/registry.ts';
import { dropSections } from './klp.ts';

const SECTION = '.kpatch.places';
/** Bytes of a mark: a pointer, a u64. */
const MARK = 16;

/** Marks the places of relocations in a part; the first one has the index `first`. */
export function addPlaces(object: ElfObject, relocations: readonly KernelRelocation[], first: number): void {
  if (relocations.length === 0) return;
  const data = new Uint8Array(relocations.length * MARK);
  const view = new DataView(data.buffer);
  const section = newSection({ name: SECTION, flags: SHF.ALLOC, addralign: 8, entsize: MARK, data });
  const type = architectureOf(object).address64;
  const symbols = new Map(
    object.symbols.filter((symbol) => symbol.type === STT.SECTION).map((symbol) => [symbol.section, symbol]),
  );
  const symbolOf = (home: Section): (typeof object.symbols)[number] => {
    const symbol = symbols.get(home) ?? newSymbol({ name: '', bind: STB.LOCAL, type: STT.SECTION, section: home });
    if (!symbols.has(home)) object.symbols.push(symbol);
    symbols.set(home, symbol);
    return symbol;
  };
  for (const [index, { section: home, offset }] of relocations.entries()) {
    section.relocations.push({ offset: index * MARK, type, symbol: symbolOf(home), addend: offset });
    view.setBigUint64(index * MARK + 8, BigInt(first + index), object.littleEndian);
  }
  object.sections.push(section);
}

/**
 * The relocations at their places in a linked module; removes the marks. Error: `intermediate-malformed` unless there is exactly one
 * mark for each.
 */
export function takePlaces(object: ElfObject, relocations: readonly KernelRelocation[]): KernelRelocation[] {
  const found: KernelRelocation[] = [];
  const { file } = object;
  const wrong = (problem: string): Error =>
    failure('intermediate-malformed', { file, problem }, { where: { file, section: SECTION } });
  for (const section of object.sections.filter(({ name }) => name === SECTION)) {
    const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.length);
    const pointers = new Map(section.relocations.map((pointer) => [pointer.offset, pointer]));
    for (let at = 0; at + MARK <= section.data.length; at += MARK) {
      const pointer = pointers.get(at);
      const home = pointer?.symbol === undefined ? undefined : definedIn(pointer.symbol);
      const relocation = relocations[Number(view.getBigUint64(at + 8, object.littleEndian))];
      if (pointer === undefined || home === undefined || relocation === undefined)
        throw wrong('a mark without a place');
      found.push({ ...relocation, section: home, offset: pointer.symbol!.value + pointer.addend });
    }
  }
  if (found.length !== relocations.length) {
    throw wrong(`${relocations.length} livepatch relocations, but ${found.length} marks after the link`);
  }
  dropSections(object, ({ name }) => name === SECTION);
  return found;
}
