/** The plan of a build: which compilation units a series of patches affects, and which object each belongs to. */
import { extname } from 'node:path';
import { fail } from '../base/errors/error.ts';
import type { ObjectMap } from '../kbuild/object-map.ts';
import { objectOf, type Unit } from '../kbuild/unit.ts';
import { isNoCode, type SourcePatch } from '../source/patch.ts';
import { isForeign, isMakefile } from './rules/makefiles.ts';

export interface LeftOut {
  readonly file: string;
  readonly reason: string;
}

export interface Plan {
  readonly units: readonly Unit[];
  /** Changed files that are not code of this kernel, each with the reason. */
  readonly leftOut: readonly LeftOut[];
}

/** Finds the compilation units (source files) that include a file, directly or indirectly. */
export type Includers = (file: string) => Promise<readonly string[]> | readonly string[];

/** The changed files of a series, by how the build treats them. */
export interface SortedFiles {
  /** C source, headers, and Makefiles of this architecture: these are applied. */
  readonly applied: readonly string[];
  /** Files that do not contribute code to this kernel. Their changes are never applied, so they have no effect. */
  readonly leftOut: readonly LeftOut[];
}

/** Sorts the changed files. Error: `source-kind-unsupported` for changes that can never be live patched. */
export function sortFiles(patches: readonly SourcePatch[], known: ObjectMap): SortedFiles {
  for (const { path, kind, from } of patches.flatMap((patch) => patch.files)) {
    const gone = kind === 'delete' ? path : kind === 'rename' ? from! : undefined;
    if (gone === undefined || !known.has(objectOf(gone))) continue;
    const reason = 'its code stays in the running kernel, where other code may still call it';
    throw fail(
      'source-kind-unsupported',
      { target: gone, kind: 'a removed source file', reason },
      { where: { file: gone } },
    );
  }
  const applied: string[] = [];
  const leftOut: LeftOut[] = [];
  for (const file of namesOf(patches)) {
    const reason = reasonToLeaveOut(file, known);
    if (reason === undefined) applied.push(file);
    else leftOut.push({ file, reason });
  }
  return { applied, leftOut };
}

function namesOf(patches: readonly SourcePatch[]): Set<string> {
  return new Set(patches.flatMap((patch) => patch.files.flatMap(({ path, from }) => [path, ...(from ? [from] : [])])));
}

function reasonToLeaveOut(file: string, known: ObjectMap): string | undefined {
  const kind = kindOf(file);
  if (kind === 'none') return 'it is not kernel code';
  if (kind === 'configuration') return 'the configuration of a kernel cannot change after it is built';
  if (kind === 'makefile') return isForeign(file, known) ? 'this kernel does not build it' : undefined;
  if (kind === 'code') return undefined;
  refuseUnlessForeign(file, known);
  return 'this kernel does not build it';
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
 * for what cannot be live patched at all; `not-built` where no file of the patches is part of this kernel.
 */
export async function planBuild(
  patches: readonly SourcePatch[],
  known: ObjectMap,
  added: ObjectMap,
  includers: Includers,
  release: string,
): Promise<Plan> {
  const map = new Map([...known, ...added]);
  const through = new Map<string, Set<string>>();
  const sorted = sortFiles(patches, map);
  const leftOut = [...sorted.leftOut];
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
    if (built.length === 0) leftOut.push({ file, reason: 'this kernel does not build it' });
  }
  if (through.size === 0) {
    const detail = leftOut.map(({ file, reason }) => `${file}: ${reason}`).join('\n');
    throw fail('not-built', { release, files: [...namesOf(patches)].join(', ') }, { detail });
  }
  const units = [...through].map(([object, files]) => {
    const unit = { object, owners: map.get(object)!, through: [...files] };
    return added.has(object) ? { ...unit, added: true } : unit;
  });
  return { units: units.sort((a, b) => (a.object < b.object ? -1 : 1)), leftOut };
}

type Kind = 'code' | 'none' | 'configuration' | 'makefile' | 'unsupported';

function kindOf(file: string): Kind {
  if (isNoCode(file)) return 'none';
  const name = file.slice(file.lastIndexOf('/') + 1);
  if (name.startsWith('Kconfig') || name.endsWith('defconfig') || name.endsWith('.config')) return 'configuration';
  if (isMakefile(file)) return 'makefile';
  if (['.c', '.h', '.inc'].includes(extname(file))) return 'code';
  return 'unsupported';
}

const reasons: Readonly<Record<string, readonly [kind: string, reason: string]>> = {
  '.S': ['assembly', 'assembly functions have no ftrace entry, so they cannot be redirected or compared'],
  '.lds': ['a linker script', 'the layout of a running kernel cannot change'],
  '.tbl': ['a table from which code is generated', 'the tables of a running kernel cannot change'],
};

/** A file of another architecture, or one that is not built, is not an error. */
function refuseUnlessForeign(file: string, map: ObjectMap): void {
  if (isForeign(file, map)) return;
  const extension = extname(file);
  if (extension === '.S' && !map.has(objectOf(file))) return;
  const [kind, reason] = reasons[extension] ?? [
    'not C source',
    'only functions compiled from C can be compared and redirected',
  ];
  throw fail('source-kind-unsupported', { target: file, kind, reason }, { where: { file } });
}
