/** Surroundings of patched files in a kernel: the compiler's layouts of the structures that the patch changes, and who uses them. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../base/run.ts';
import { isAggregate, sizeOfType } from '../formats/dwarf/sizes.ts';
import { type DwarfType, type DwarfTypes, TAG } from '../formats/dwarf/type-record.ts';
import { readDwarfTypes } from '../formats/dwarf/types.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { compileUnits } from '../kbuild/compile.ts';
import { SourceOverlay } from '../kbuild/overlay.ts';
import { objectOf } from '../kbuild/unit.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import type { FileChange } from '../review/change.ts';
import { structuresIn } from './structure-text.ts';
import type { MemberPlace, SourceText, StructureLayout, Surroundings } from './surroundings.ts';
import { containers } from './zeroed-objects.ts';

/** A structure that the patch changes, and the sources through which it is compiled. */
interface Changed {
  readonly name: string;
  readonly file: string;
  /** Files that include its file, and the file itself. */
  readonly files: readonly string[];
  /** The units among them. */
  readonly sources: readonly string[];
}

/** More users than these are not read one by one: then nothing can be shown about all objects. */
const MOST_USERS = 400;

/** Compiles a few units of the unpatched source. Error: `compile-failed`. `folder` is an empty working folder. */
export async function kernelSurroundings(
  facts: KernelFacts,
  files: readonly FileChange[],
  folder: string,
): Promise<Surroundings> {
  const changed = await changedStructures(facts, files);
  const layouts = new Map<string, StructureLayout>();
  const sizes = new Map<string, number>();
  const numbers = new Map<string, number>();
  const users = new Map<string, readonly SourceText[]>();
  let count = 0;
  for (const { name, file, files: reached, sources } of changed) {
    const known = users.get(name);
    users.set(name, [...(known ?? []), ...(await usersOf(facts, name, reached, files))]);
    if (layouts.has(name)) continue;
    const likely = [file, ...(users.get(name) ?? []).map((one) => one.file)].filter((one) => sources.includes(one));
    for (const source of [...new Set([...likely, ...sources])].slice(0, 2)) {
      const work = join(folder, `layout-${count++}`);
      mkdirSync(work);
      const types = await typesOf(facts, source, work);
      const layout = types === undefined ? undefined : layoutOf(types, name);
      if (layout === undefined) continue;
      layouts.set(name, layout);
      for (const [type, size] of namedSizes(types!)) sizes.set(type, size);
      for (const [type, size] of numbersOf(types!)) numbers.set(type, size);
      break;
    }
  }
  return {
    layout: (struct) => layouts.get(struct),
    sizeOf: (type) => sizes.get(type),
    numberSize: (type) => numbers.get(type),
    users: (struct) => users.get(struct) ?? [],
  };
}

async function changedStructures(facts: KernelFacts, files: readonly FileChange[]): Promise<Changed[]> {
  const objects = await facts.objects();
  const isUnit = (path: string): boolean => path.endsWith('.c') && objects.has(objectOf(path));
  const found: Changed[] = [];
  for (const { file, before, after } of files) {
    const now = structuresIn(after);
    const names = [...structuresIn(before)].flatMap(([name, one]) => {
      const other = now.get(name);
      const same = (list: typeof one): string => list.declarations.map(({ text }) => text).join(';');
      return other === undefined || same(one) === same(other) ? [] : [name];
    });
    if (names.length === 0) continue;
    const reached = isUnit(file) ? [file] : [...(await facts.includes()).reaching([file])];
    for (const name of names) found.push({ name, file, files: reached, sources: reached.filter(isUnit) });
  }
  return found;
}

/**
 * The sources and headers that mention the structure or one that contains it, as they are after the patch; none if there are too many
 * to read.
 */
async function usersOf(
  { kernel }: KernelFacts,
  struct: string,
  reached: readonly string[],
  files: readonly FileChange[],
): Promise<SourceText[]> {
  const { tree } = kernel.paths;
  const changed = new Map(files.map((one) => [one.file, { text: one.after, before: one.before }]));
  const users = new Map<string, SourceText>();
  const names = new Set([struct]);
  // Grows while structures are found that contain one of these.
  for (const name of names) {
    const mine = files.filter((one) => new RegExp(`\\b${name}\\b`).test(one.after)).map(({ file }) => file);
    const { stdout } = await run('xargs', ['-d', '\n', 'grep', '-lwF', '-e', name, '--', '/dev/null'], {
      cwd: tree,
      env: { LC_ALL: 'C' },
      input: reached.map((one) => `${one}\n`).join(''),
    });
    const found = stdout
      .toString('latin1')
      .split('\n')
      .filter((one) => one !== '');
    for (const file of [...mine, ...found]) {
      if (users.has(file)) continue;
      users.set(file, { file, ...(changed.get(file) ?? { text: readFileSync(join(tree, file), 'latin1') }) });
      if (users.size > MOST_USERS) return [];
    }
    for (const outer of containers(name, [...users.values()])) names.add(outer);
  }
  return [...users.values()];
}

async function typesOf(facts: KernelFacts, source: string, folder: string): Promise<DwarfTypes | undefined> {
  const object = objectOf(source);
  const owners = (await facts.objects()).get(object);
  if (owners === undefined || owners.length === 0) return undefined;
  const overlay = new SourceOverlay(facts.kernel.paths.tree, folder);
  const unit = { object, owners, through: [source] };
  const common = { variables: await facts.variables(), settings: [], jobs: 1 };
  const [compiled] = await compileUnits(overlay, [unit], { ...common, when: 'before' });
  return readDwarfTypes(new ElfFile(compiled!.bytes, object));
}

/** The layout of the structure; undefined if the unit does not define it, or two of that name. */
export function layoutOf(types: DwarfTypes, name: string): StructureLayout | undefined {
  const all = [...types.types.values()].filter(
    (type) => type.tag === TAG.structure && type.name === name && !type.declaration && type.size !== undefined,
  );
  const [type] = all;
  if (type === undefined || all.length > 1) return undefined;
  return { size: type.size!, members: placesOf(types, type) };
}

function placesOf(types: DwarfTypes, { members }: DwarfType): MemberPlace[] {
  return members
    .map(({ name, bitOffset, bitSize, type }) => {
      const start = Math.floor(bitOffset / 8);
      const end = bitSize === undefined ? start + sizeOfType(types, type) : Math.ceil((bitOffset + bitSize) / 8);
      return { name, start, end };
    })
    .sort((a, b) => a.start - b.start || a.end - b.end);
}

/** Bytes of typedefs and enumerations, by the name that a declaration uses. */
function namedSizes(types: DwarfTypes): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [key, type] of types.types) {
    if (type.name === undefined || type.declaration) continue;
    if (type.tag === TAG.typedef) sizes.set(type.name, sizeOfType(types, key));
    else if (type.tag === TAG.enumeration) sizes.set(`enum ${type.name}`, sizeOfType(types, key));
    else if (isAggregate(type) && type.tag === TAG.structure) sizes.set(`struct ${type.name}`, sizeOfType(types, key));
  }
  return sizes;
}

/** Bytes of typedefs that name a number, an enumeration or a pointer; of none that has two meanings. */
export function numbersOf(types: DwarfTypes): Map<string, number> {
  const sizes = new Map<string, number>();
  const odd = new Set<string>();
  for (const { tag, name, type } of types.types.values()) {
    if (tag !== TAG.typedef || name === undefined) continue;
    const size = isNumber(types, type) ? sizeOfType(types, type) : 0;
    if (size === 0 || (sizes.get(name) ?? size) !== size) odd.add(name);
    else sizes.set(name, size);
  }
  for (const name of odd) sizes.delete(name);
  return sizes;
}

function isNumber({ types }: DwarfTypes, key: number | undefined): boolean {
  let type = key === undefined ? undefined : types.get(key);
  for (let depth = 0; type !== undefined && depth < 32; depth++) {
    if (type.tag === TAG.base || type.tag === TAG.enumeration || type.tag === TAG.pointer) return true;
    if (type.tag !== TAG.typedef && type.tag !== TAG.const && type.tag !== TAG.volatile) return false;
    type = type.type === undefined ? undefined : types.get(type.type);
  }
  return false;
}
