/**
 * The manifest: metadata of a livepatch module, as JSON in its own ELF section. Hosts decide by the manifest and the
 * kernel. The section is not allocated, so the kernel never sees it.
 */
import { failure } from '../base/errors/error.ts';
import type { manifestDocument } from '../documents/definitions/stored.ts';
import { FormError, type Stored, storedDocument } from '../documents/form.ts';
import { SHT } from '../formats/elf/constants.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { type ElfObject, newSection } from '../formats/elf/object.ts';

export const manifestSection = '.kpatch.manifest';
export const manifestSchema = 'kpatch.manifest/1';

export type Manifest = Stored<typeof manifestDocument>;
export type ManifestFunction = Manifest['functions'][number];
/** A hazard that the review found in the patch (docs/review.md). */
export type HazardNote = NonNullable<Manifest['review']>[number];
/** A module that refuses calls of one function until the fix is there. */
export type ShieldNote = NonNullable<Manifest['shield']>;

/** The bytes of the section for a manifest; the same manifest gives the same bytes. */
export function manifestBytes(manifest: Manifest): Uint8Array {
  return Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`);
}

/** Puts the manifest into a module that is being made. */
export function addManifest(object: ElfObject, manifest: Manifest): void {
  object.sections.push(newSection({ name: manifestSection, type: SHT.PROGBITS, data: manifestBytes(manifest) }));
}

/**
 * The manifest of a module file; undefined if it has none (modules that other tools made).
 * Errors: those of reading ELF, `manifest-damaged`.
 */
export function readManifest(module: Uint8Array | ElfFile, file = 'module'): Manifest | undefined {
  const elf = module instanceof ElfFile ? module : new ElfFile(module, file);
  const section = elf.section(manifestSection);
  if (section === undefined) return undefined;
  return parseManifest(Buffer.from(elf.data(section)).toString('utf8'), elf.file);
}

/** Reads and checks the text of a manifest. Error: `manifest-damaged`. */
export function parseManifest(text: string, file: string): Manifest {
  const damaged = (problem: string): Error => {
    return failure('manifest-damaged', { file, problem }, { where: { file, section: manifestSection } });
  };
  try {
    return storedDocument(manifestSchema, JSON.parse(text));
  } catch (error) {
    throw damaged(error instanceof FormError ? error.message : 'it is not JSON');
  }
}
