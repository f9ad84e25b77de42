/**
 * What a series changes in the Makefiles of the kernel. They may add source files to objects that the kernel has; whatever
 * else they change reaches files that the series does not name.
 */
import { basename, dirname, join, normalize } from 'node:path';
import { fail } from '../../base/errors/error.ts';
import { type ObjectMap, type Owner, readObjectMap } from '../../kbuild/object-map.ts';
import type { SourceOverlay } from '../../kbuild/overlay.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { isNoCode, type PatchedFile, type SourcePatch } from '../../source/patch.ts';

/** True for a file by which kbuild decides what is built, and how. */
export function isMakefile(file: string): boolean {
  return !isNoCode(file) && /(^|\/)(Makefile|Kbuild)[^/]*$/.test(file);
}

/** True where a file belongs to another architecture than the one that the map is of. */
export function isForeign(file: string, map: ObjectMap): boolean {
  const architecture = /^arch\/([^/]+)\//.exec(file)?.[1];
  const ours = [...map.keys()].find((object) => object.startsWith('arch/'))?.split('/')[1];
  return architecture !== undefined && architecture !== ours;
}

/**
 * The units that the series adds to objects of the kernel, by make's own reading of the patched Makefiles (seconds, so only
 * where a Makefile changes). Error: `source-kind-unsupported` for any other effect.
 */
export async function addedUnits(
  patches: readonly SourcePatch[],
  facts: KernelFacts,
  patched: SourceOverlay,
): Promise<ObjectMap> {
  const before = await facts.objects();
  const changed = patches
    .flatMap(({ files }) => files)
    .filter(({ path }) => isMakefile(path) && !isForeign(path, before));
  if (changed.length === 0) return new Map();
  const after = await readObjectMap(patched.root, await facts.variables());
  const added = compareMaps(before, after, changed[0]!.path);
  for (const file of changed) checkLines(file, added);
  return added;
}

/** The units of the second map alone. Error: `source-kind-unsupported` where the maps differ in another way. */
export function compareMaps(before: ObjectMap, after: ObjectMap, makefile: string): ObjectMap {
  const objects = new Set([...before.values()].flatMap((owners) => owners.map(({ object }) => object)));
  const added = new Map<string, readonly Owner[]>();
  for (const [unit, owners] of after) {
    const known = before.get(unit);
    if (known === undefined) {
      const module = owners.find(({ object }) => !objects.has(object));
      if (module !== undefined)
        throw refusal(makefile, `it adds the module ${module.object}, which the kernel does not have`);
      added.set(unit, owners);
    } else if (namesOf(known) !== namesOf(owners)) {
      throw refusal(makefile, `it moves ${unit} from ${namesOf(known)} to ${namesOf(owners)}`);
    }
  }
  const gone = [...before.keys()].find((unit) => !after.has(unit));
  if (gone !== undefined) throw refusal(makefile, `it takes ${gone} out of ${namesOf(before.get(gone)!)}`);
  return added;
}

function namesOf(owners: readonly Owner[]): string {
  return owners
    .map(({ object }) => object)
    .sort()
    .join(' and ');
}

/** `obj-y += a.o b.o`, `tun-objs := a.o \`, `  b.o`: with or without what is listed, with or without a comment. */
const list = /^(?:[\w-]+-(?:y|m|objs|\$\(CONFIG_\w+\))\s*[:+]?=)?(?:\s*[\w./-]+(?:\.o|\/))*\s*\\?\s*(?:#.*)?$/;

/** What a stable release changes in the top Makefile; the running kernel keeps its version. */
const version = /^(?:VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION|NAME)\s*=/;

/** Lists of objects alone may change, and settings of the units that are new. Error: `source-kind-unsupported`. */
export function checkLines({ path, hunks }: PatchedFile, added: ObjectMap): void {
  for (const line of hunks.flatMap(({ lines }) => lines)) {
    if (!/^[+-]/.test(line)) continue;
    const text = line.slice(1);
    const single = /^\w+_([\w-]+\.o)\s*[:+]?=/.exec(text)?.[1];
    const ofNew = single !== undefined && added.has(normalize(join(dirname(path), single)));
    if (ofNew || (path === 'Makefile' && version.test(text))) continue;
    if (!list.test(text))
      throw refusal(
        path,
        `\`${text.trim()}\` is more than a list of objects, and may reach files that the patch does not name`,
      );
  }
}

function refusal(makefile: string, problem: string): Error {
  const reason = `${basename(makefile)} may only add source files to what the kernel has: ${problem}`;
  return fail(
    'source-kind-unsupported',
    { target: makefile, kind: 'a change of how the kernel is built', reason },
    { where: { file: makefile } },
  );
}
