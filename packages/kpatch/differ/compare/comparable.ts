/** Pairs of objects of which nothing can be said: no machine code, or not two versions of one file. */
import { failure } from '../../base/errors/error.ts';
import { SHF, STT } from '../../formats/elf/constants.ts';
import { type ElfObject, type Section, sizeOf } from '../../formats/elf/object.ts';
import type { Model, Part } from '../parts/part.ts';

/**
 * Refuses an object that holds gcc's intermediate code instead of machine code. An object with both is compared by its
 * machine code. Error: `diff-lto`. (clang's is not an ELF file: `elf-bitcode`.)
 */
export function requireMachineCode({ file, sections, symbols }: ElfObject): void {
  const lto = sections.find(({ name }) => name.startsWith('.gnu.lto_') || name.startsWith('.gnu.debuglto_'));
  if (lto === undefined) return;
  const slim = symbols.some(({ name }) => /^_*gnu_lto_(?:slim|v1)$/.test(name));
  const code = sections.some(
    ({ flags, ...section }) => (flags & SHF.EXECINSTR) !== 0 && sizeOf({ flags, ...section }) > 0,
  );
  if (!slim && code) return;
  throw failure('diff-lto', { file }, { where: { file, section: lto.name, offset: 0 } });
}

/**
 * Refuses, after correlation, two objects that have no name in common, and two different ones without code and data.
 * Errors: `diff-unrelated`, `diff-no-code`.
 */
export function requireVersions(original: Model, patched: Model): void {
  const where = { file: patched.object.file, offset: 0 };
  const [before, after] = [loaded(original), loaded(patched)];
  if (before.length === 0 && after.length === 0) {
    const section = differentSection(original.object, patched.object);
    if (section !== undefined) throw failure('diff-no-code', { section }, { where: { ...where, section } });
    return;
  }
  const [old, now] = [before.filter(isNamed), after.filter(isNamed)];
  if (old.length === 0 || now.length === 0 || old.some((part) => hasCounterpart(part, now))) return;
  const [one, other] = [sourcesOf(original.object), sourcesOf(patched.object)];
  if (one.some((name) => other.includes(name))) return;
  throw failure('diff-unrelated', { original: original.object.file, patched: patched.object.file }, { where });
}

const loaded = ({ parts }: Model): Part[] => parts.filter(({ start, end }) => end > start);
const isNamed = ({ symbol }: Part): boolean => symbol !== undefined;

function hasCounterpart(part: Part, now: readonly Part[]): boolean {
  return part.twin !== undefined || now.some(({ name }) => name === part.name);
}

/** The source files that the object names. */
function sourcesOf({ symbols }: ElfObject): string[] {
  return symbols.filter(({ type, name }) => type === STT.FILE && name !== '').map(({ name }) => name);
}

/** Sections that say nothing about what the object does. */
const remarks = /^\.(?:debug|zdebug|comment$|note\b|stab|gnu_debuglink$)/;

/** A section that only one of the objects has or that differs, or undefined. */
function differentSection(original: ElfObject, patched: ElfObject): string | undefined {
  const contents = ({ sections }: ElfObject): Map<string, Section[]> => {
    const all = new Map<string, Section[]>();
    for (const section of sections) {
      if (remarks.test(section.name)) continue;
      all.set(section.name, [...(all.get(section.name) ?? []), section]);
    }
    return all;
  };
  const [before, after] = [contents(original), contents(patched)];
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [left, right] = [before.get(name) ?? [], after.get(name) ?? []];
    const same = left.length === right.length && left.every((one, index) => isSame(one, right[index]!));
    if (!same && [...left, ...right].some((section) => sizeOf(section) > 0)) return name;
  }
  return undefined;
}

function isSame(a: Section, b: Section): boolean {
  return (
    Buffer.compare(a.data, b.data) === 0 && sizeOf(a) === sizeOf(b) && a.relocations.length === b.relocations.length
  );
}
