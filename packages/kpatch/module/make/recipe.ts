/**
 * How kbuild links a module, as a list of commands. kbuild notes beside each file the command that made it (`.FILE.cmd`), so one
 * link by kbuild shows how to link any module of the same shape without make, which takes two thirds of the time.
 *
 * A recipe is kept only if it makes the same bytes as kbuild did, and holds only as long as the files of kbuild do not change.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { writeAtomically } from '../../base/files.ts';
import { keptDocument } from '../../documents/kept.ts';

/** Increased when recipes are written or used differently. */
const FORMAT = 1;

/** The commands, in their order, with `FOLDER` and `NAME` in place of the working folder and the module. */
export interface Recipe {
  /** True if the commands run in the working folder (Linux 6.13 and later), false if in that of the headers. */
  readonly inFolder: boolean;
  readonly glue: string;
  /** Makes `.module-common.o` (Linux 6.12 and later). */
  readonly common: string | undefined;
  readonly join: string;
  readonly order: string;
  readonly modpost: string;
  readonly versions: string;
  readonly module: string;
}

const FOLDER = '@FOLDER@';
const NAME = '@NAME@';

/** Shorter names can be part of another word of a command. */
const SHORTEST_NAME = 6;

/** The names of the files in which kbuild notes its commands, without the leading dot and `.cmd`. */
const notes = (name: string): Readonly<Record<Exclude<keyof Recipe, 'inFolder'>, string>> => ({
  glue: 'glue.o',
  common: '.module-common.o',
  join: `${name}.o`,
  order: 'modules.order',
  modpost: 'Module.symvers',
  versions: `${name}.mod.o`,
  module: `${name}.ko`,
});

/**
 * The recipe by which kbuild has just linked the module `name` in `folder`; undefined if its commands are not those of a plain
 * link, or if a command contains the name as a part of another word.
 */
export function readRecipe(folder: string, name: string): Recipe | undefined {
  if (name.length < SHORTEST_NAME) return undefined;
  const list = textOf(join(folder, `${name}.mod`));
  if (list === undefined || list.includes('part-') !== list.includes(`part-0.o`)) return undefined;
  const found: Record<string, string> = {};
  let inFolder: boolean | undefined;
  for (const [key, file] of Object.entries(notes(name))) {
    const note = textOf(join(folder, `.${file}.cmd`));
    if (note === undefined && key === 'common') continue;
    const [, target, command] = /^(?:saved)?cmd_(\S+) := (.*)$/m.exec(note ?? '') ?? [];
    if (target === undefined || command === undefined) return undefined;
    inFolder ??= !target.startsWith('/');
    const text = generalized(command, folder, name);
    // The objects must come from the list, which this program writes.
    if (text === undefined || /part-\d/.test(text)) return undefined;
    found[key] = text;
  }
  return { common: undefined, inFolder: inFolder!, ...found } as Recipe;
}

/** The command of a note with the folder and the name taken out; undefined if the name is left in it. */
function generalized(command: string, folder: string, name: string): string | undefined {
  const plain = command.replaceAll('$(pound)', '#').replaceAll('$$', '$');
  if (plain.includes('$(')) return undefined;
  const text = plain
    .replaceAll(folder, FOLDER)
    .replaceAll(new RegExp(`(?<!\\w)(kmod_)?${name}(?=[.'"])`, 'g'), `$1${NAME}`)
    .replaceAll(new RegExp(`(?<==)kmod_${name}(?!\\w)`, 'g'), `kmod_${NAME}`);
  return text.includes(name) ? undefined : text;
}

/** A shell script that links the module `name` in `folder`, where `glue.c` and the parts are. */
export function scriptOf(recipe: Recipe, folder: string, name: string): string {
  const of = (command: string): string =>
    `{ ${command.replaceAll(FOLDER, folder).replaceAll(NAME, name).replace(/;\s*$/, '')}\n}`;
  const { glue, common, join, order, modpost, versions, module } = recipe;
  const background = common === undefined ? [] : [`${of(common)} & common=$!`];
  const end = common === undefined ? [] : ['wait $common'];
  const lines = [...background, of(glue), of(join), of(order), of(modpost), of(versions), ...end, of(module)];
  return `set -e\n${lines.join('\n')}\n`;
}

/** The list of a module's objects, as kbuild writes it for the linker. */
export function objectList({ inFolder }: Recipe, folder: string, objects: readonly string[]): string {
  return objects.map((object) => `${inFolder ? '' : `${folder}/`}${object}\n`).join('');
}

/** Where the recipe of a kernel is kept. */
export interface RecipePlace {
  readonly file: string;
  /** Identifies everything that a recipe depends on. */
  readonly key: string;
}

/** `settings` are the arguments of make, `folders` those that it reads; they hold kbuild's own files. */
export function recipePlace(derived: string, folders: readonly string[], settings: readonly unknown[]): RecipePlace {
  const digests = folders.flatMap((folder) => kbuildFiles(folder).map((file) => [file, sha256(readFileSync(file))]));
  return { file: join(derived, 'link.json'), key: sha256(JSON.stringify([FORMAT, folders, settings, digests])) };
}

/** The files that decide how kbuild links: its Makefiles and the configuration. */
function kbuildFiles(folder: string): string[] {
  const inScripts = namesIn(join(folder, 'scripts')).filter((name) => name.startsWith('Makefile'));
  const arch = namesIn(join(folder, 'arch')).map((name) => `arch/${name}/Makefile`);
  const files = ['Makefile', '.config', 'include/config/auto.conf', 'scripts/Kbuild.include', ...arch];
  return [...files, ...inScripts.map((name) => `scripts/${name}`)]
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path));
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** The recipe that is kept; undefined if there is none, or if it is for other files of kbuild. */
export function keptRecipe({ file, key }: RecipePlace): Recipe | undefined {
  const kept = keptDocument('kpatch.link-recipe', file);
  if (kept?.key !== key || sha256(JSON.stringify(kept.recipe)) !== kept.digest) return undefined;
  return { ...kept.recipe, common: kept.recipe.common };
}

/** Keeps a recipe for the next link; a cache that cannot be written is no error. */
export function keepRecipe({ file, key }: RecipePlace, recipe: Recipe): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeAtomically(file, JSON.stringify({ key, digest: sha256(JSON.stringify(recipe)), recipe }));
  } catch {
    // see above
  }
}

/** Forgets a recipe that does not work. */
export function dropRecipe({ file }: RecipePlace): void {
  rmSync(file, { force: true });
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
