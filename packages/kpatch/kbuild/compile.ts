/**
 * Compiles units in an overlay as kbuild does, several at once, and caches the objects of the unpatched source by content:
 * the original of a unit is compiled only once per kernel.
 */

import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { failure } from '../base/errors/error.ts';
import { programFolders } from '../base/workspace.ts';
import { readOutput } from '../sandbox/output.ts';
import { type KbuildVariables, separated, submake, timelessFlags } from './kbuild.ts';
import { keepObject, keptObject } from './kept-object.ts';
import type { SourceOverlay } from './overlay.ts';
import type { CompiledUnit, Unit } from './unit.ts';

export interface Compilation {
  readonly variables: KbuildVariables;
  /** Number of compilers to run at once. */
  readonly jobs: number;
  /** For the message of an error: before or after the patch. */
  readonly when: 'before' | 'after';
  /** Additional make variables (objtool on kernels that run it late). */
  readonly settings: readonly string[];
  readonly onDone?: (unit: CompiledUnit) => void;
}

/** Units of one make process: enough to spread its start, few enough to spread the work. */
const BATCH = 8;

/** Compiles the units in the overlay. Error: `compile-failed` with the compiler's message. */
export async function compileUnits(
  overlay: SourceOverlay,
  units: readonly Unit[],
  compilation: Compilation,
): Promise<CompiledUnit[]> {
  for (const { object, owners } of units) {
    overlay.open(dirname(object));
    // A source can be generated from files in subfolders (arch/x86/entry/vdso/vdso32).
    if (isGenerated(overlay, { object })) overlay.openBelow(dirname(object));
    overlay.open(owners[0]!.directory); // a target like ../x.o must lead back into the overlay
  }
  const compiled = new Map<Unit, CompiledUnit>();
  const done = (one: CompiledUnit): void => {
    compiled.set(one.unit, one);
    compilation.onDone?.(one);
  };
  await inParallel(
    batches(units, (unit) => isGenerated(overlay, unit)),
    compilation.jobs,
    async (batch) => {
      await make(overlay, batch, compilation);
      for (const one of batch.map((unit) => collect(overlay, unit)))
        if (overlay.strays(one.read).length === 0) done(one);
    },
  );
  // Opening folders removes links for a moment, so no compiler may be running.
  for (const unit of units) if (!compiled.has(unit)) done(await unmixed(overlay, unit, compilation));
  return units.map((unit) => compiled.get(unit)!);
}

/**
 * The compiled unit, once it is sure that the compiler read the overlay's own copy of every changed file.
 * Error: `tree-changed` if that cannot be had.
 */
async function unmixed(overlay: SourceOverlay, unit: Unit, compilation: Compilation): Promise<CompiledUnit> {
  let result = collect(overlay, unit);
  for (let attempt = 0; attempt < 3; attempt++) {
    const strays = overlay.strays(result.read);
    if (strays.length === 0) return result;
    for (const stray of strays) overlay.mend(stray);
    rmSync(join(overlay.root, unit.object), { force: true });
    await make(overlay, [unit], compilation);
    result = collect(overlay, unit);
  }
  const [stray] = overlay.strays(result.read);
  if (stray === undefined) return result;
  throw failure('tree-changed', { unit: unit.object, file: stray }, { where: { file: stray } });
}

function collect(overlay: SourceOverlay, unit: Unit): CompiledUnit {
  // Read on demand: a header can affect thousands of units, which are too many to keep in memory.
  return {
    unit,
    read: readDependencies(noteText(overlay.root, unit.object)),
    get bytes() {
      return readOutput(overlay.root, unit.object);
    },
  };
}

/** kbuild's note of how an object was made, which is beside it; empty if there is none. */
export function noteText(root: string, object: string): string {
  const at = object.lastIndexOf('/') + 1;
  const note = `${object.slice(0, at)}.${object.slice(at)}.cmd`;
  return existsSync(join(root, note)) ? readOutput(root, note).toString() : '';
}

/**
 * The files named in the list of dependencies of a `.cmd` file's text, without those that stand for configuration options.
 */
export function readDependencies(text: string): string[] {
  const source = /^source_\S+ := (\S+)$/m.exec(text)?.[1];
  const list = /^deps_\S+ := ?\\?\n((?:.*\\\n)*.*\n?)/m.exec(text)?.[1] ?? '';
  const files = list.split('\n').map((line) => line.replace(/\\$/, '').trim());
  const named = files.filter((line) => line !== '' && !line.startsWith('$(') && !line.includes(':'));
  return [...(source === undefined ? [] : [source]), ...named].map((file) => file.replace(/^\.\//, ''));
}

async function make(overlay: SourceOverlay, units: readonly Unit[], compilation: Compilation): Promise<void> {
  const directory = units[0]!.owners[0]!.directory;
  // Set by the top Makefile; without it kbuild warns that it has nothing to build.
  const descend = ['need-builtin=1', 'need-modorder=1'];
  const args = ['-f', 'scripts/Makefile.build', `obj=${directory}`, ...descend, ...compilation.settings];
  const objects = units.map(({ object }) => object);
  // A Makefile may build objects of a folder beside it (amdgpu builds ../amdkfd): kbuild knows them by that name only.
  const targets = objects.map((object) => `${directory}/${relative(directory, object)}`);
  // A killed compiler leaves temporary files, which are removed with the overlay.
  const env = { TMPDIR: overlay.root };
  const result = await submake(
    overlay.root,
    withoutPlace(compilation.variables, overlay),
    [...args, '-k', ...targets],
    { env, view: { readOnly: [overlay.tree], writable: [overlay.root] } },
  );
  if (result.status === 0) return;
  const failed = objects.find((object) => !existsSync(join(overlay.root, object))) ?? objects[0]!;
  const detail = result.stderr
    .split('\n')
    .filter((line) => !/^make(\[\d+\])?: /.test(line))
    .join('\n');
  throw failure(
    'compile-failed',
    { unit: failed, when: compilation.when },
    { where: { file: failed.replace(/\.o$/, '.c') }, detail: detail.trim() === '' ? result.stderr : detail },
  );
}

/**
 * The flags, with which debug information does not say where the overlay is: the build-id of a vDSO counts it, and is
 * itself part of an object of the kernel.
 */
function withoutPlace(variables: KbuildVariables, overlay: SourceOverlay): KbuildVariables {
  const flag = `-fdebug-prefix-map=${realpathSync(overlay.root)}=. ${timelessFlags}`;
  const { KBUILD_CFLAGS = '', KBUILD_AFLAGS = '' } = variables;
  return { ...variables, KBUILD_CFLAGS: `${KBUILD_CFLAGS} ${flag}`, KBUILD_AFLAGS: `${KBUILD_AFLAGS} ${flag}` };
}

/** True if kbuild makes the source of the unit itself, or it is assembly, which can contain a file that kbuild makes. */
export function isGenerated({ root }: SourceOverlay, { object }: Pick<Unit, 'object'>): boolean {
  return !existsSync(join(root, object.replace(/\.o$/, '.c')));
}

/**
 * The units in groups for one make process each. Generated units of a directory stay together, because they can be made from the
 * same intermediate files (the images of the vDSO), which two processes would write at once.
 */
export function batches(units: readonly Unit[], generated: (unit: Unit) => boolean): Unit[][] {
  const byDirectory = Map.groupBy(units, ({ owners }) => owners[0]!.directory);
  const size = units.length <= 4 ? 1 : BATCH;
  return [...byDirectory.values()].flatMap((group) => {
    const together = group.filter(generated);
    const rest = group.filter((unit) => !together.includes(unit));
    const parts = Array.from({ length: Math.ceil(rest.length / size) }, (_, index) =>
      rest.slice(index * size, (index + 1) * size),
    );
    return together.length === 0 ? parts : [together, ...parts];
  });
}

/** Processes the items, at most `limit` at once. After the first error it waits for the running ones and throws it. */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && failures.length === 0; item = queue.shift()) {
      await work(item).catch((error: unknown) => void failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, limit) }, worker));
  if (failures.length > 0) throw failures[0];
}

/** Increased when objects are compiled differently. */
const FORMAT = 3;

/**
 * Identifies everything that the object of a unit depends on beside the source that it reads. `identity` identifies the source and
 * configuration of the kernel, which never change for one identity.
 */
export function compilationKey(
  identity: string,
  { variables, settings }: Pick<Compilation, 'variables' | 'settings'>,
): string {
  return sha256(JSON.stringify([FORMAT, identity, compilerDigest(variables), variables, settings]));
}

/** The digest of the compiler's program; undefined if it is not found. */
function compilerDigest(variables: KbuildVariables): string | undefined {
  const { buildRoot, exported } = separated(variables);
  const program = exported.CC?.split(' ').at(-1);
  if (program === undefined) return undefined;
  const folders = buildRoot === undefined ? programFolders() : [join(buildRoot, 'usr/bin')];
  const path = folders.map((folder) => resolve(folder, program)).find((one) => existsSync(one));
  return path === undefined ? undefined : sha256(readFileSync(path));
}

/** A cache of unpatched objects, keyed by the digest of everything they depend on. */
export class ObjectStore {
  readonly #folder: string;
  readonly #key: string;

  /** `key` identifies kernel, compiler and command (`compilationKey`). */
  constructor(folder: string, key: string) {
    this.#folder = folder;
    this.#key = key;
    mkdirSync(folder, { recursive: true });
  }

  get(unit: Unit): CompiledUnit | undefined {
    return keptObject(this.#path(unit), unit);
  }

  put(compiled: CompiledUnit): void {
    keepObject(this.#path(compiled.unit), compiled);
  }

  #path(unit: Unit): string {
    return join(this.#folder, sha256(`${this.#key} ${unit.object}`));
  }
}
