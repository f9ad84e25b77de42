/**
 * The manifest: metadata of a livepatch module, as JSON in its own ELF section. Hosts decide by the manifest and the
 * kernel. The section is not allocated, so the kernel never sees it.
 */
import { fail } from '../base/errors/error.ts';
import { isPlainText } from '../base/printable.ts';
import { SHT } from '../formats/elf/constants.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { type ElfObject, newSection } from '../formats/elf/object.ts';

export const manifestSection = '.kpatch.manifest';
export const manifestSchema = 'kpatch.manifest/1';

export interface ManifestFunction {
  readonly name: string;
  /** `vmlinux` or a module. */
  readonly object: string;
  /** Which symbol of that name in the object, in the kernel's order, from 1; 0 if it is unique. */
  readonly sympos: number;
  /**
   * SHA-256 of the code that is replaced, from its symbol to the next one, as the kernel image or the module's file holds
   * it; absent if it was not compared (see `runPre`).
   */
  readonly digest?: string;
  /** Names of the source patches that it comes from. */
  readonly patches: readonly string[];
}

/** A hazard that the review found in the patch (docs/review.md). */
export interface HazardNote {
  readonly kind: string;
  readonly place: string;
  readonly function: string;
  readonly reason: string;
  readonly remedy: string;
}

/** A module that refuses calls of one function until the fix is there. */
export interface ShieldNote {
  readonly function: string;
  /** C expression that refused calls return, such as `-EPERM`. */
  readonly returns: string;
  /** C condition on the arguments; absent if every call is refused. */
  readonly when?: string;
  /** True if refused calls are written to the kernel log. */
  readonly log: boolean;
  /** ISO 8601: from then on calls pass again; absent without an end. */
  readonly until?: string;
}

export interface Manifest {
  readonly schema: typeof manifestSchema;
  /** The module's name. */
  readonly name: string;
  /** Rises with each cumulative successor; from 1. */
  readonly version: number;
  /** Family of cumulative patches: versions are compared within one. Absent means the one without a name. */
  readonly line?: string;
  /** The kernel that it is for, as `uname -r`. */
  readonly release: string;
  readonly arch: string;
  /** GNU build-id of that kernel's image, hexadecimal. */
  readonly buildId?: string;
  /** True if it replaces all live patches before it. */
  readonly replace: boolean;
  readonly functions: readonly ManifestFunction[];
  readonly cves: readonly string[];
  /** System states (klp_state) that the patch sets, with their versions. */
  readonly states: readonly { readonly id: number; readonly version: number }[];
  readonly patches: readonly { readonly name: string; readonly sha256: string }[];
  /** `matched`: each function matches the code of the kernel; `skipped`: not compared. */
  readonly runPre: 'matched' | 'skipped';
  /** `none`: it was built with `--no-sandbox`. Absent if the build ran in a sandbox, and in modules of kpatch 0.1. */
  readonly sandbox?: 'none';
  /** Hazards that the review found; absent if the patch was not reviewed. */
  readonly review?: readonly HazardNote[];
  /** Present if it is a shield and not a fix. */
  readonly shield?: ShieldNote;
  /** Name and version of the program that made it. */
  readonly tool: string;
}

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
    return fail('manifest-damaged', { file, problem }, { where: { file, section: manifestSection } });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged('it is not JSON');
  }
  const problem = problemOf(value);
  if (problem !== undefined) throw damaged(problem);
  return value as Manifest;
}

type Check = (value: unknown) => boolean;
/** Each is shown as part of a line somewhere, so none may break one or turn its direction. */
const text: Check = (value) => typeof value === 'string' && value.length < 4096 && isPlainText(value);
const natural: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const optionally =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const record =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(fields).every(([name, check]) => check((value as Record<string, unknown>)[name]));

const fields: Readonly<Record<string, Check>> = {
  schema: (value) => value === manifestSchema,
  name: text,
  version: natural,
  line: optionally(text),
  release: text,
  arch: text,
  buildId: optionally(text),
  replace: (value) => typeof value === 'boolean',
  functions: listOf(
    record({ name: text, object: text, sympos: natural, digest: optionally(text), patches: listOf(text) }),
  ),
  cves: listOf(text),
  states: listOf(record({ id: natural, version: natural })),
  patches: listOf(record({ name: text, sha256: text })),
  runPre: (value) => value === 'matched' || value === 'skipped',
  sandbox: optionally((value) => value === 'none'),
  review: optionally(listOf(record({ kind: text, place: text, function: text, reason: text, remedy: text }))),
  shield: optionally(
    record({
      function: text,
      returns: text,
      when: optionally(text),
      log: (value) => typeof value === 'boolean',
      until: optionally((value) => text(value) && !Number.isNaN(Date.parse(value as string))),
    }),
  ),
  tool: text,
};

function problemOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is not an object';
  const wrong = Object.entries(fields).find(([name, check]) => !check((value as Record<string, unknown>)[name]));
  return wrong === undefined ? undefined : `the field '${wrong[0]}' is missing or invalid`;
}
