/**
 * Reads the requests of a patch from `.kpatch.*` sections (macros of include/kpatch/kpatch-macros.h and of dynup/kpatch).
 */
import { failure } from '../../base/errors/error.ts';
import type { ElfObject } from '../../formats/elf/object.ts';
import { isFunction, type Model, type Part } from '../parts/part.ts';
import { targetOf } from '../parts/target.ts';

export interface AuthorWishes {
  /** Functions whose changes are ignored (KPATCH_IGNORE_FUNCTION). */
  readonly ignoredFunctions: ReadonlySet<Part>;
  /** Names of sections whose differences are irrelevant (KPATCH_IGNORE_SECTION). */
  readonly ignoredSections: ReadonlySet<string>;
  /** Functions that are replaced without a difference (KPATCH_INCLUDE_FUNCTION). */
  readonly includedFunctions: ReadonlySet<Part>;
  /** Names of functions with KPATCH_FORCE_UNSAFE, which has no effect. */
  readonly forced: readonly string[];
}

/** Only callbacks are included; the other sections speak to the differ and the builder. */
export function isCallback(part: Part): boolean {
  return part.section.name.startsWith('.kpatch.callbacks.');
}

/** Sections that only kpatch itself and the kernel's livepatch loader may make, and those of an author among them. */
const reserved = /^\.(?:kpatch|klp)\./;
const authors = /^\.kpatch\.(?:callbacks\.\w+|ignore\.(?:functions|sections)|include\.functions|force|states)$/;

/**
 * A patch could name other functions to be replaced, or a manifest of its own, in a section with the name of kpatch's.
 * Error: `diff-section-reserved`.
 */
export function refuseReserved({ file, sections }: ElfObject): void {
  for (const { name } of sections) {
    if (reserved.test(name) && !authors.test(name))
      throw failure('diff-section-reserved', { section: name }, { where: { file, section: name } });
  }
}

/** Reads the wishes in a patched object. Error: `diff-include-unknown`. */
export function readWishes(patched: Model): AuthorWishes {
  return {
    ignoredFunctions: new Set(functionsIn(patched, '.kpatch.ignore.functions')),
    ignoredSections: new Set(stringsIn(patched, '.kpatch.ignore.sections')),
    includedFunctions: new Set(namesIn(patched, '.kpatch.include.functions').map((name) => named(patched, name))),
    forced: functionsIn(patched, '.kpatch.force').map(({ name }) => name),
  };
}

/** The functions that the pointers of a section point to. */
function functionsIn(model: Model, name: string): Part[] {
  return model.object.sections
    .filter((section) => section.name === name)
    .flatMap((section) => section.relocations.map((relocation) => targetOf(model, section, relocation)))
    .flatMap((target) => (target.kind === 'part' ? [target.part] : []));
}

/** The strings that the pointers of a section point to. */
function stringsIn(model: Model, name: string): string[] {
  const strings: string[] = [];
  for (const section of model.object.sections.filter((one) => one.name === name)) {
    for (const relocation of section.relocations) {
      const target = targetOf(model, section, relocation);
      if (target.kind === 'content') strings.push(textAt(target.section.data, target.at + target.offset));
      else if (target.kind === 'part')
        strings.push(textAt(target.part.section.data, target.part.start + target.offset));
    }
  }
  return strings;
}

/** The NUL-terminated names that a section consists of. */
function namesIn(model: Model, name: string): string[] {
  const sections = model.object.sections.filter((section) => section.name === name);
  const texts = sections.flatMap(({ data }) => Buffer.from(data).toString('latin1').split('\0'));
  return texts.filter((text) => text !== '');
}

function textAt(data: Uint8Array, offset: number): string {
  const end = data.indexOf(0, offset);
  return Buffer.from(data.subarray(offset, end < 0 ? data.length : end)).toString('latin1');
}

function named(model: Model, name: string): Part {
  const { file } = model.object;
  const part = model.parts.find((one) => isFunction(one) && one.symbols.some((symbol) => symbol.name === name));
  if (part === undefined)
    throw failure('diff-include-unknown', { function: name }, { where: { file, function: name } });
  return part;
}
