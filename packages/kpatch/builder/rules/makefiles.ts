/**
 * Checks the changes of a series to kernel Makefiles. They may add source files to existing objects; any other change would
 * affect files that the series does not name.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { diffArrays } from 'diff';
import { failure } from '../../base/errors/error.ts';
import { printableLine } from '../../base/text/printable.ts';
import { type ObjectMap, type Owner, readObjectMap } from '../../kbuild/object-map.ts';
import type { SourceOverlay } from '../../kbuild/overlay.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { isNoCode, type SourcePatch } from '../../source/patch.ts';

/** True for a file that tells kbuild what to build and how. */
export function isMakefile(file: string): boolean {
  return !isNoCode(file) && /(^|\/)(Makefile|Kbuild)[^/]*$/.test(file);
}

/** True if a file belongs to another architecture than the one that the map is of. */
export function isForeign(file: string, map: ObjectMap): boolean {
  const architecture = /^arch\/([^/]+)\//.exec(file)?.[1];
  if (architecture === undefined) return false;
  const objects = [...map.keys()].filter((object) => object.startsWith('arch/'));
  if (objects.length === 0) return false;
  // arch/x86/um is the part of user-mode Linux, an architecture of its own. arch/arm64 links objects of arch/arm (Xen).
  const folder = file.startsWith(`arch/${architecture}/um/`) ? `arch/${architecture}/um/` : `arch/${architecture}/`;
  return !objects.some((object) => object.startsWith(folder));
}

/**
 * The units that the series adds to objects of the kernel, by make's own reading of the patched Makefiles (seconds, so only
 * where a Makefile changes). Every changed line is checked before make runs. Error: `source-kind-unsupported` for any other
 * effect.
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
  for (const { path } of changed) {
    const [old, text] = [patched.tree, patched.root].map((folder) => textOf(join(folder, path)));
    checkMakefile(path, old, text ?? '', before);
  }
  const after = await readObjectMap(patched.root, await facts.variables());
  return compareMaps(before, after, changed[0]!.path);
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'latin1') : undefined;
}

/** The units of the second map alone. Error: `source-kind-unsupported` if the maps differ in another way. */
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
  if (gone !== undefined) throw refusal(makefile, `it removes ${gone} from ${namesOf(before.get(gone)!)}`);
  return added;
}

function namesOf(owners: readonly Owner[]): string {
  return owners
    .map(({ object }) => object)
    .sort()
    .join(' and ');
}

/**
 * Lists of kbuild whose members become code of the kernel; others (`ccflags-y`, `always-y`, `hostprogs-y`) decide how it is
 * built.
 */
const list = /^[\w-]+-(?:y|m|objs|\$\(CONFIG_\w+\))$/;
const otherLists =
  /^(?:subdir-)?(?:cc|as|ld|cpp|rust|af|c|a)flags-|^(?:always|extra|targets|hostprogs|userprogs|dtb|clean|header-test|no-header-test|generic|mandatory|subdir|host-\w+|\w+-objs-host)-/i;

/** Version lines of the top Makefile, which stable releases change; the running kernel keeps its version. */
const version = /^(?:VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION|NAME)$/;

/**
 * Checks the change to a Makefile before make reads it, because make can run programs while it reads. Only lists of objects
 * and settings of units that `known` does not contain may change. `before` is undefined for a new Makefile.
 * Error: `source-kind-unsupported`.
 */
export function checkMakefile(path: string, before: string | undefined, after: string, known: ObjectMap): void {
  for (const { value, added, removed } of diffArrays(logicalLines(before ?? ''), logicalLines(after))) {
    if (!added && !removed) continue;
    for (const line of value) {
      if (isHarmless(line, path, known)) continue;
      throw refusal(
        path,
        `\`${printableLine(line.trim())}\` is more than a list of objects and may affect files that the patch does not name`,
      );
    }
  }
}

/** The lines as make joins them: a backslash at the end continues a line. */
function logicalLines(text: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const line of text.split('\n')) {
    const slashes = line.length - line.replace(/\\+$/, '').length;
    if (slashes % 2 === 1) open += `${line.slice(0, -1)} `;
    else {
      lines.push(open + line);
      open = '';
    }
  }
  return open === '' ? lines : [...lines, open];
}

function isHarmless(line: string, path: string, known: ObjectMap): boolean {
  // A tab at the start can make the line a command of a rule.
  const text = line.startsWith('\t') ? line : line.trim();
  if (text === '' || text.startsWith('#')) return true;
  const [, name, value] = /^([\w-]+(?:\$\(CONFIG_\w+\))?(?:\.o)?)\s*(?:[:+?]|::)?=(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) return false;
  const words = value
    .replace(/#.*$/, '')
    .split(/\s+/)
    .filter((word) => word !== '');
  const unit = /^\w+?_([\w-]+\.o)$/.exec(name)?.[1];
  if (unit !== undefined) return !known.has(normalize(join(dirname(path), unit))) && words.every(isSetting);
  if (path === 'Makefile' && version.test(name)) return /^[\w .+-]*$/.test(value);
  return list.test(name) && !otherLists.test(name) && words.every((word) => isObject(word, path));
}

/** An object or a folder inside the tree. */
function isObject(word: string, path: string): boolean {
  if (!/^[\w./+-]+$/.test(word) || word.startsWith('/') || word.startsWith('-')) return false;
  return (word.endsWith('.o') || word.endsWith('/')) && !normalize(join(dirname(path), word)).startsWith('..');
}

/**
 * A value of a setting for one unit: a flag of the compiler that starts no program and reads no file outside, or `y` and
 * `n`.
 */
function isSetting(word: string): boolean {
  if (/^[yn]$/.test(word)) return true;
  const plain = word.replace(/\$\((?:src|obj|srctree|objtree|CONFIG_\w+)\)/g, 'x');
  if (/^-I[\w/.-]+$/.test(plain)) return !plain.includes('..') && !plain.startsWith('-I/');
  return /^-(?:[DU]\w+(?:=[\w.-]*)?|O[\w]*|W(?!p|a|l)[\w-]+(?:=\w+)?|f(?!plugin|profile|dump)[\w-]+(?:=[\w-]+)?|m[\w.-]+(?:=[\w.+-]+)?|g\d?|std=\w+)$/.test(
    plain,
  );
}

function refusal(makefile: string, problem: string): Error {
  const reason = `${basename(makefile)} may only add source files to existing objects: ${problem}`;
  return failure(
    'source-kind-unsupported',
    { target: makefile, kind: 'a change to the kernel build', reason },
    { where: { file: makefile } },
  );
}
