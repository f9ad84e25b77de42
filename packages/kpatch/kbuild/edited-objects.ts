/**
 * A cache of patched objects: building an edited series again compiles only the units that the edit reaches.
 *
 * The key of an object has everything that its compilation sees: the kernel, the compiler, the command, and the copies of the overlay
 * that the unit can read. To make sure of the last, each unit is compiled in an overlay of its own with only these copies: code of
 * another patch, which runs in the sandbox of another unit, cannot put an object here (docs/sandbox.md). A unit that turns out to
 * read a further copy is compiled again with all of them, and not kept.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { temporaryFolder } from '../base/files.ts';
import { type Compilation, compileUnits, isGenerated } from './compile.ts';
import type { IncludeGraph } from './include-graph.ts';
import { keepObject, keptObject } from './kept-object.ts';
import { SourceOverlay } from './overlay.ts';
import type { CompiledUnit, Unit } from './unit.ts';

/** Increased when entries are written differently. */
const PREFIX = 'edited-1-';

/** Bytes of all entries of a kernel; those that were not used for the longest time go first. */
const LIMIT = 256 * 2 ** 20;

export class EditedObjects {
  readonly #folder: string;
  readonly #key: string;
  readonly #overlay: SourceOverlay;
  readonly #graph: Pick<IncludeGraph, 'includedBy'>;
  /** Digests of all copies; empty for a file that the patch removes. */
  readonly #copies: ReadonlyMap<string, string>;
  #stored = false;

  /** `key` identifies kernel, compiler and command (`compilationKey`). The overlay must have all of its copies. */
  constructor(folder: string, key: string, overlay: SourceOverlay, graph: Pick<IncludeGraph, 'includedBy'>) {
    this.#folder = folder;
    this.#key = key;
    this.#overlay = overlay;
    this.#graph = graph;
    this.#copies = new Map([...overlay.copies].sort().map((file) => [file, digestOf(overlay, file)]));
    mkdirSync(folder, { recursive: true });
  }

  /** The object of a unit as an earlier build compiled it; undefined if there is none. */
  get(unit: Unit): CompiledUnit | undefined {
    const path = this.#path(unit);
    const known = keptObject(path, unit);
    if (known !== undefined) markUsed(path);
    return known;
  }

  /**
   * Compiles a unit by itself and keeps its object; undefined if it must be compiled with all copies. Errors: those of
   * `compileUnits`.
   */
  async compile(unit: Unit, compilation: Compilation): Promise<CompiledUnit | undefined> {
    if (isGenerated(this.#overlay, unit)) return undefined;
    using folder = temporaryFolder('kpatch-unit-');
    const overlay = this.#overlayFor(unit, folder.path);
    const [compiled] = await compileUnits(overlay, [unit], compilation);
    const { bytes, read } = compiled!;
    const places = placesOf(overlay, read);
    if (places.some((file) => this.#copies.has(file) && !overlay.copies.has(file))) return undefined;
    keepObject(this.#path(unit), { unit, read, bytes });
    this.#stored = true;
    return { unit, read, bytes };
  }

  /** An overlay with the copies that the unit can read. */
  #overlayFor(unit: Unit, folder: string): SourceOverlay {
    const root = join(folder, 'patched');
    mkdirSync(root);
    const overlay = new SourceOverlay(this.#overlay.tree, root);
    for (const [file, digest] of this.#copiesFor(unit)) {
      overlay.copy(file);
      const path = join(root, file);
      if (digest === '') rmSync(path, { force: true });
      else copyFileSync(join(this.#overlay.root, file), path);
    }
    return overlay;
  }

  /**
   * Files that the tree does not have and files that are not C belong to every unit: a new header can be found instead of an old
   * one, and a Makefile can change the command.
   */
  #copiesFor({ object }: Unit): [string, string][] {
    const source = object.replace(/\.o$/, '.c');
    const reached = this.#graph.includedBy([source]);
    return [...this.#copies].filter(([file, digest]) => {
      const plain = digest !== '' && /\.[ch]$/.test(file) && existsSync(join(this.#overlay.tree, file));
      return !plain || file === source || reached.has(file);
    });
  }

  /** Removes the entries that were not used for the longest time, if there are too many. Called at the end of a build. */
  prune(limit = LIMIT): void {
    if (!this.#stored) return;
    const entries = readdirSync(this.#folder)
      .filter((name) => name.startsWith('edited-'))
      .flatMap((name) => {
        const path = join(this.#folder, name);
        const stat = statSync(path, { throwIfNoEntry: false });
        return stat === undefined ? [] : [{ path, size: stat.size, used: stat.mtimeMs }];
      })
      .sort((a, b) => b.used - a.used);
    let total = 0;
    for (const { path, size } of entries) {
      total += size;
      if (total > limit) rmSync(path, { force: true });
    }
  }

  #path(unit: Unit): string {
    const key = sha256(JSON.stringify([this.#key, unit.object, this.#copiesFor(unit)]));
    return join(this.#folder, `${PREFIX}${key}`);
  }
}

function markUsed(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch {
    // Another build has just removed it, or the cache is read-only.
  }
}

function digestOf({ root }: SourceOverlay, file: string): string {
  const path = join(root, file);
  return existsSync(path) ? sha256(readFileSync(path)) : '';
}

/** The true places of files that a compiler read, relative to the tree; files of the compiler itself are left out. */
function placesOf({ root, tree }: SourceOverlay, read: readonly string[]): string[] {
  const homes = [realpathSync(root), tree];
  return read.flatMap((file) => {
    const path = file.startsWith('/') ? file : `${root}/${file}`;
    if (!existsSync(path)) return [];
    // Resolved like the system does: `join` would remove `x/..` before following links.
    const real = realpathSync.native(path);
    const home = homes.find((one) => real.startsWith(`${one}/`));
    return home === undefined ? [] : [real.slice(home.length + 1)];
  });
}
