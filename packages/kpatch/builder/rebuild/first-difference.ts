/** Where two module files first differ, for people: by section, in the order of the file. */
import { ElfFile, type RawSection } from '../../formats/elf/file.ts';

export interface FileDifference {
  /** Name of the section, or a part of the file that belongs to none. */
  readonly section: string;
  /** First byte that differs, from the start of the section; null if it is not about bytes. */
  readonly offset: number | null;
  readonly problem: string;
}

/** The first difference of two ELF files; undefined if their bytes are equal. Errors: those of reading ELF. */
export function firstDifference(given: Uint8Array, rebuilt: Uint8Array, file: string): FileDifference | undefined {
  if (Buffer.compare(given, rebuilt) === 0) return undefined;
  const [one, other] = [new ElfFile(given, file), new ElfFile(rebuilt, `${file} (rebuilt)`)];
  const names = (elf: ElfFile): string[] => elf.sections.map(({ name }) => name);
  for (const [index, section] of one.sections.entries()) {
    const twin = other.sections[index];
    if (twin === undefined || twin.name !== section.name) {
      const found =
        twin === undefined ? 'the rebuilt module ends before it' : `the rebuilt module has ${twin.name} there`;
      return {
        section: section.name,
        offset: null,
        problem: `${found}; sections: ${names(one).length} and ${names(other).length}`,
      };
    }
    const problem = differenceIn(section, one.data(section), other.data(twin), twin);
    if (problem !== undefined) return problem;
  }
  if (other.sections.length > one.sections.length) {
    const { name } = other.sections[one.sections.length]!;
    return { section: name, offset: null, problem: 'only the rebuilt module has it' };
  }
  return { section: 'ELF header', offset: firstByte(given, rebuilt) ?? null, problem: 'headers or padding differ' };
}

function differenceIn(
  section: RawSection,
  given: Uint8Array,
  rebuilt: Uint8Array,
  twin: RawSection,
): FileDifference | undefined {
  const at = firstByte(given, rebuilt);
  const { name } = section;
  if (at !== undefined) {
    const sizes = given.length === rebuilt.length ? '' : `, sizes ${given.length} and ${rebuilt.length}`;
    const bytes = (data: Uint8Array): string => Buffer.from(data.subarray(at, at + 8)).toString('hex') || 'nothing';
    return {
      section: name,
      offset: at,
      problem: `it has ${bytes(given)}, the rebuilt module ${bytes(rebuilt)}${sizes}`,
    };
  }
  const same = section.flags === twin.flags && section.type === twin.type && section.link === twin.link;
  return same && section.info === twin.info && section.size === twin.size && section.addralign === twin.addralign
    ? undefined
    : { section: name, offset: null, problem: 'its header differs' };
}

/** The first byte that differs, or where the shorter one ends; undefined if they are equal. */
function firstByte(one: Uint8Array, other: Uint8Array): number | undefined {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) if (one[at] !== other[at]) return at;
  return one.length === other.length ? undefined : length;
}
