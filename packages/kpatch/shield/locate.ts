/** Finds the definition of a function in the source of a kernel, and every file that mentions it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { run } from '../base/run.ts';
import { objectOf, type Unit } from '../kbuild/unit.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { type CFunction, functionsIn } from '../source/c-functions.ts';

/** Files of one grep: its command line must stay below two megabytes. */
const BATCH = 4000;

export interface SourceText {
  readonly file: string;
  readonly text: string;
}

export interface LocatedFunction {
  readonly file: string;
  readonly text: string;
  readonly definition: CFunction;
  readonly unit: Unit;
  /** Compiled source files that mention the function, its own included. */
  readonly mentions: readonly SourceText[];
}

/**
 * Finds the function `name`; `file` chooses between several files that define one of that name.
 * Errors: `shield-function-unknown`, `shield-function-ambiguous`.
 */
export async function locate(facts: KernelFacts, name: string, file?: string): Promise<LocatedFunction> {
  const { release, paths } = facts.kernel;
  if (!/^[A-Za-z_]\w*$/.test(name))
    throw failure('shield-function-unknown', { function: JSON.stringify(name), release });
  const objects = await facts.objects();
  const call = /^__[a-z0-9]+_(?:compat_)?sys_(\w+)$/.exec(name)?.[1];
  const words = call === undefined ? [name] : [name, call];
  const units = [...objects.keys()].map((object) => object.replace(/\.o$/, '.c'));
  const found = (await filesWith(words, paths.tree, units)).map((path): SourceText => {
    return { file: path, text: readFileSync(join(paths.tree, path), 'latin1') };
  });
  const places = found.flatMap((one) =>
    functionsIn(one.text)
      .filter(({ names }) => names.includes(name) || (call !== undefined && names.length > 1 && names[0] === call))
      .map((definition) => ({ ...one, definition })),
  );
  const [place, ...more] = places.filter((one) => file === undefined || one.file === file);
  if (place === undefined) throw failure('shield-function-unknown', { function: name, release });
  if (more.length > 0) {
    const files = [place, ...more].map((one) => `${one.file}:${one.definition.line}`).join(', ');
    throw failure('shield-function-ambiguous', { function: name, files });
  }
  const object = objectOf(place.file);
  const unit = { object, owners: objects.get(object)!, through: [place.file] };
  const own = new RegExp(`\\b${place.definition.name}\\b`);
  return { ...place, unit, mentions: found.filter(({ text }) => own.test(text)) };
}

async function filesWith(words: readonly string[], tree: string, files: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (let from = 0; from < files.length; from += BATCH) {
    const batch = files.slice(from, from + BATCH);
    // Status 2: a file that is only made while the kernel is built.
    const { stdout } = await run('grep', ['-lswF', '-f', '-', '--', ...batch], {
      cwd: tree,
      env: { LC_ALL: 'C' },
      input: `${words.join('\n')}\n`,
    });
    found.push(
      ...stdout
        .toString('latin1')
        .split('\n')
        .filter((line) => line !== ''),
    );
  }
  return found;
}
