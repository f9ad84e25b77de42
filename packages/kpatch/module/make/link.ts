/**
 * Links the glue and the differences into one module against the distribution's headers: kbuild gives it vermagic, symbol
 * CRCs and `struct module`. Everything happens in a temporary folder.
 *
 * The first link of a kernel asks kbuild; the next ones run the commands that it used (recipe.ts), with the same result. If
 * anything is unexpected, kbuild links.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { cleanEnvironment, type KbuildVariables, separated } from '../../kbuild/kbuild.ts';
import { readOutput } from '../../sandbox/output.ts';
import { sandboxed } from '../../sandbox/sandbox.ts';
import { shareFolder } from '../../sandbox/user.ts';
import {
  dropRecipe,
  keepRecipe,
  keptRecipe,
  objectList,
  type Recipe,
  readRecipe,
  recipePlace,
  scriptOf,
} from './recipe.ts';

export interface LinkInput {
  /** An empty folder to work in. */
  readonly folder: string;
  /** The distribution's headers (`make -C headers`). */
  readonly headers: string;
  /** All folders that make reads for this kernel (kernel/folders.ts). */
  readonly folders: readonly string[];
  /** What make is told of the compiler and its tools. */
  readonly compiler: readonly string[];
  /** The build root that they are in. */
  readonly buildRoot: string | undefined;
  readonly name: string;
  /** The C source of the glue. */
  readonly glue: string;
  /** The objects to link in, as the differ made them and `prepareParts` named their symbols. */
  readonly objects: readonly Uint8Array[];
  /**
   * More settings for make. Kernels with IBT run objtool once, on the linked module; the parts went through it already, and
   * twice is an error, so they are told to run it on the glue alone.
   */
  readonly settings: readonly string[];
  /** What the commands of kbuild need if make does not run them; without it kbuild links. */
  readonly recipe?: RecipeInput;
}

export interface RecipeInput {
  /** Where what is derived from the kernel is kept. */
  readonly derived: string;
  /** What kbuild's top Makefile exports to the programs that it runs (objtool reads SRCARCH). */
  readonly variables: KbuildVariables;
}

/** Flags for every file of the module that keep the place of the build out of it (its build-id counts debug sections). */
const reproducible = (folder: string): string => `-g0 -ffile-prefix-map=${folder}=. -fmacro-prefix-map=${folder}/=`;

/**
 * No BTF: it needs pahole, and debug information that the parts do not have. `struct module` follows the headers' own
 * configuration all the same, this only tells make.
 */
const withoutBtf = 'CONFIG_DEBUG_INFO_BTF_MODULES=';

/** Returns the bytes of the unsigned module. Error: `module-link-failed` with kbuild's message. */
export async function linkModule(input: LinkInput): Promise<Uint8Array> {
  const { recipe: known, folders, headers, compiler, settings, buildRoot } = input;
  if (known === undefined) return await linkByKbuild(input, input.folder);
  const place = recipePlace(known.derived, folders, [headers, compiler, settings, buildRoot, known.variables]);
  const kept = keptRecipe(place);
  const linked = kept === undefined ? undefined : await linkByRecipe(input, kept, newFolder(input, 'link'));
  if (linked !== undefined) return linked;
  const folder = newFolder(input, 'kbuild');
  const bytes = await linkByKbuild(input, folder);
  dropRecipe(place);
  const recipe = readRecipe(folder, input.name);
  const again = recipe === undefined ? undefined : await linkByRecipe(input, recipe, newFolder(input, 'again'));
  if (again !== undefined && Buffer.compare(bytes, again) === 0) keepRecipe(place, recipe!);
  return bytes;
}

function newFolder({ folder }: LinkInput, name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

/** Runs the commands of a recipe; undefined if one of them fails, so that kbuild can say why. */
async function linkByRecipe(input: LinkInput, recipe: Recipe, folder: string): Promise<Uint8Array | undefined> {
  const { name, glue, objects, headers } = input;
  writeFileSync(join(folder, 'glue.c'), glue);
  writeFileSync(join(folder, '.glue.o.cmd'), 'savedcmd_glue.o := shipped\n');
  const parts = writeParts(folder, objects, 'o');
  writeFileSync(join(folder, `${name}.mod`), objectList(recipe, folder, ['glue.o', ...parts]));
  shareFolder(folder);
  const { status } = await sandboxed('sh', ['-c', scriptOf(recipe, folder, name)], {
    ...surroundings(input, folder, separated(input.recipe!.variables).exported),
    cwd: recipe.inFolder ? folder : headers,
  });
  if (status !== 0) return undefined;
  try {
    return readOutput(folder, `${name}.ko`);
  } catch (error) {
    if (error instanceof KpatchError && error.code === 'file-unreadable') return undefined;
    throw error;
  }
}

async function linkByKbuild(input: LinkInput, folder: string): Promise<Uint8Array> {
  const { name, objects, headers, compiler } = input;
  writeFileSync(join(folder, 'glue.c'), input.glue);
  const parts = writeParts(folder, objects, 'bin');
  // Linux 7 no longer has kbuild's own rule for files named NAME_shipped.
  const copies = parts.map((part) => `$(obj)/${part}: $(obj)/${part.replace(/o$/, 'bin')}\n\tcp $< $@`);
  const kbuild = [`obj-m := ${name}.o`, `${name}-y := glue.o ${parts.join(' ')}`, ...copies];
  writeFileSync(join(folder, 'Kbuild'), `${kbuild.join('\n')}\n`);
  const settings = [`KCFLAGS=${reproducible(folder)}`, ...input.settings, withoutBtf];
  const args = ['-C', headers, `M=${folder}`, ...compiler, ...settings, 'modules'];
  shareFolder(folder);
  const result = await sandboxed('make', args, surroundings(input, folder));
  if (result.status !== 0) {
    const said = `${result.stdout}${result.stderr}`;
    throw failure('module-link-failed', { name }, { detail: said.split('\n').slice(-30).join('\n') });
  }
  return readOutput(folder, `${name}.ko`);
}

/** Writes the parts and returns the names of their objects. */
function writeParts(folder: string, objects: readonly Uint8Array[], ending: 'o' | 'bin'): string[] {
  return objects.map((bytes, index) => {
    writeFileSync(join(folder, `part-${index}.${ending}`), bytes);
    // kbuild wants a note of how an object was made (modpost reads it for MODVERSIONS sources).
    writeFileSync(join(folder, `.part-${index}.o.cmd`), `savedcmd_part-${index}.o := shipped\n`);
    return `part-${index}.o`;
  });
}

function surroundings({ folders, buildRoot }: LinkInput, folder: string, variables: KbuildVariables = {}) {
  return {
    view: { readOnly: folders, writable: [folder], buildRoot },
    env: { ...cleanEnvironment(), ...variables, TMPDIR: folder },
    timeoutMs: 300_000,
  };
}
