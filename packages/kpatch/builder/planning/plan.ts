/** The plan of a build: which compilation units a series of patches affects, and which object each belongs to. */
import { extname } from 'node:path';
import type { ObjectMap } from '../../kbuild/object-map.ts';
import { objectOf, type Unit } from '../../kbuild/unit.ts';
import { isBuildPart, isNoCode, type SourcePatch } from '../../source/patch.ts';
import { imagePart } from '../rules/configured.ts';
import { isForeign, isMakefile } from '../rules/makefiles.ts';
import { refuseNewOptions } from '../rules/options.ts';
import { removedSource, unsupportedChange } from '../rules/unsupported.ts';
import { type LeftOut, nothingBuilt } from './irrelevance.ts';

export type { LeftOut } from './irrelevance.ts';

export interface BuildPlan {
  readonly units: readonly Unit[];
  /** Changed files that are not code of this kernel, each with the reason. */
  readonly leftOut: readonly LeftOut[];
}

/** Finds the compilation units (source files) that include a file, directly or indirectly. */
export type Includers = (file: string) => Promise<readonly string[]> | readonly string[];

/** What is known of files that kbuild does not compile. */
export interface Unbuilt {
  /** The option without which the kernel does not contain the code of a file; undefined if that is not certain. */
  readonly missing: (file: string) => string | undefined;
  /** The source files that include it, directly or not, and are not units of the kernel. */
  readonly users: (file: string) => Promise<readonly string[]> | readonly string[];
}

const unknown: Unbuilt = { missing: () => undefined, users: () => [] };

/** The changed files of a series, by how the build treats them. */
export interface SortedFiles {
  /** C source, headers, and Makefiles of this architecture: these are applied. */
  readonly applied: readonly string[];
  /** Files that do not contribute code to this kernel. Their changes are never applied, so they have no effect. */
  readonly leftOut: readonly LeftOut[];
}

/** Sorts the changed files. Error: `source-kind-unsupported` for changes that can never be live patched. */
export function sortFiles(
  patches: readonly SourcePatch[],
  known: ObjectMap,
  missing: Unbuilt['missing'] = unknown.missing,
): SortedFiles {
  for (const { path, kind, from } of patches.flatMap((patch) => patch.files)) {
    const gone = kind === 'delete' ? path : kind === 'rename' ? from! : undefined;
    if (gone === undefined || !known.has(objectOf(gone))) continue;
    throw removedSource(gone, 'kernel');
  }
  const applied: string[] = [];
  const leftOut: LeftOut[] = [];
  for (const file of namesOf(patches)) {
    const out = reasonToLeaveOut(file, known, missing);
    if (out === undefined) applied.push(file);
    else leftOut.push({ file, ...out });
  }
  return { applied, leftOut };
}

function namesOf(patches: readonly SourcePatch[]): Set<string> {
  return new Set(patches.flatMap((patch) => patch.files.flatMap(({ path, from }) => [path, ...(from ? [from] : [])])));
}

function reasonToLeaveOut(
  file: string,
  known: ObjectMap,
  missing: Unbuilt['missing'],
): Omit<LeftOut, 'file'> | undefined {
  // Objects of another architecture (arch/arm64 links some of arch/arm) and of samples/ can be part of this kernel.
  if (known.has(objectOf(file)) && extname(file) === '.c') return undefined;
  const kind = kindOf(file);
  if (isForeign(file, known)) return foreign;
  if (file.startsWith('samples/') && [...known.keys()].some((object) => object.startsWith('samples/')))
    return { reason: 'this kernel is built with samples, and kpatch cannot tell which of them use it' };
  if (isBuildPart(file))
    return { reason: 'it takes part in building a kernel, and the running kernel was built without it' };
  if (kind === 'none') return { reason: 'it is not kernel code', proof: 'documents-only' };
  if (kind === 'configuration') return { reason: 'the configuration of a kernel cannot change after it is built' };
  if (kind === 'makefile' && imagePart(file) === undefined) return undefined;
  if (kind === 'code') return undefined;
  const option = missing(file);
  if (option !== undefined) return without(option);
  throw unsupported(file);
}

const foreign = { reason: 'it is for another architecture', proof: 'other-architecture' } as const;

function without(option: string): Omit<LeftOut, 'file'> {
  return { reason: `this kernel is built without CONFIG_${option}`, proof: 'not-configured' };
}

/** The patches without the changes of these files. */
export function withoutFiles(patches: readonly SourcePatch[], leftOut: readonly LeftOut[]): SourcePatch[] {
  const out = new Set(leftOut.map(({ file }) => file));
  return patches.map((patch) => {
    const files = patch.files.filter(({ path, from }) => !out.has(path) || (from !== undefined && !out.has(from)));
    return { ...patch, files };
  });
}

/**
 * Plans a build; `known` are the units of the kernel, `added` those that the patches add. Errors: `source-kind-unsupported`
 * for what cannot be live patched at all; `configuration-added`; `not-built` where each file of the patches is shown not to be part
 * of this kernel; `nothing-patchable` where that is not certain.
 */
export async function planBuild(
  patches: readonly SourcePatch[],
  known: ObjectMap,
  added: ObjectMap,
  includers: Includers,
  release: string,
  unbuilt: Unbuilt = unknown,
): Promise<BuildPlan> {
  const map = new Map([...known, ...added]);
  const through = new Map<string, Set<string>>();
  const sorted = sortFiles(patches, map, unbuilt.missing);
  const leftOut = [...sorted.leftOut];
  refuseNewOptions(patches, (file) => !leftOut.some((out) => out.file === file && out.proof !== undefined), release);
  for (const file of sorted.applied) {
    if (isMakefile(file)) {
      leftOut.push({ file, reason: 'it decides what is built and is not code itself' });
      continue;
    }
    const units = [...(map.has(objectOf(file)) ? [file] : []), ...(await includers(file))];
    const built = units.filter((unit) => map.has(objectOf(unit)));
    for (const unit of built) {
      const object = objectOf(unit);
      through.set(object, (through.get(object) ?? new Set()).add(file));
    }
    if (built.length === 0) leftOut.push({ file, ...(await notBuilt(file, unbuilt)) });
  }
  if (through.size === 0) throw nothingBuilt([...namesOf(patches)], leftOut, release);
  const units = [...through].map(([object, files]) => {
    const unit = { object, owners: map.get(object)!, through: [...files] };
    return added.has(object) ? { ...unit, added: true } : unit;
  });
  return { units: units.sort((a, b) => (a.object < b.object ? -1 : 1)), leftOut };
}

/** Why no unit contains a source file or header. Error: `source-kind-unsupported` for code that may be in the image in another way. */
async function notBuilt(file: string, { missing, users }: Unbuilt): Promise<Omit<LeftOut, 'file'>> {
  const others = (await users(file)).map((user) => ({ user, option: missing(user) }));
  const option = missing(file) ?? others[0]?.option;
  const other = others.find((one) => one.option === undefined)?.user;
  if (option !== undefined && other === undefined) return without(option);
  const part = imagePart(file) ?? (other === undefined ? undefined : imagePart(other));
  if (part === undefined && other === undefined && file.endsWith('.h'))
    return { reason: 'no unit of this kernel includes it' };
  const kind = part ?? 'source code that no list of objects in the Makefiles names';
  const reason = `${other === undefined ? 'it' : `${other}, which includes it,`} ${
    part === undefined
      ? 'may be part of the kernel in another way, and kpatch cannot compare it'
      : 'is part of the kernel image, but a live patch cannot replace it'
  }`;
  throw unsupportedChange(file, kind, reason);
}

type Kind = 'code' | 'none' | 'configuration' | 'makefile' | 'unsupported';

function kindOf(file: string): Kind {
  if (isNoCode(file)) return 'none';
  const name = file.slice(file.lastIndexOf('/') + 1);
  if (name.startsWith('Kconfig') || name.endsWith('defconfig') || name.endsWith('.config')) return 'configuration';
  if (isMakefile(file)) return 'makefile';
  if (/\.lds(?:\.\w+)?$/.test(name)) return 'unsupported';
  if (['.c', '.h', '.inc'].includes(extname(file))) return 'code';
  return 'unsupported';
}

const reasons: Readonly<Record<string, readonly [kind: string, reason: string]>> = {
  '.S': ['assembly', 'assembly functions have no ftrace entry, so they cannot be redirected or compared'],
  '.lds': ['a linker script', 'the layout of a running kernel cannot change'],
  '.tbl': ['a table from which code is generated', 'the tables of a running kernel cannot change'],
};

function unsupported(file: string): Error {
  const [kind, reason] = reasons[/\.lds\b/.test(file) ? '.lds' : extname(file)] ?? [
    imagePart(file) ?? 'not C source',
    'code or data of the kernel may be generated from it, and only functions compiled from C can be replaced',
  ];
  return unsupportedChange(file, kind, reason);
}
