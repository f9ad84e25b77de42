/**
 * A kernel tree in which single files differ, without changing or copying the tree: real folders along the paths that are
 * written, symbolic links for everything else. Compilers open files by the path as written, so an unchanged file next to a
 * changed one still includes the changed one. The exception is a path like `../x.h` through a linked folder, which the
 * system resolves physically; `strays` finds such files in the dependency list of the compiler, and `open` corrects them.
 */
import {
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { shareFolder } from '../sandbox/user.ts';

export class SourceOverlay {
  readonly root: string;
  readonly tree: string;
  readonly #realRoot: string;
  readonly #real = new Set<string>();
  readonly #copied = new Set<string>();

  /** Creates the overlay of `tree` in the empty folder `root`. */
  constructor(tree: string, root: string) {
    this.tree = realpathSync(tree);
    this.root = root;
    this.#realRoot = realpathSync(root);
    shareFolder(root);
    this.#link('.');
  }

  /** Turns a folder of the tree (relative path) into a real folder of the overlay, in which files can be written. */
  open(folder: string): void {
    const path = normalize(folder);
    if (path === '.' || this.#real.has(path)) return;
    this.open(dirname(path));
    this.#requireReal(dirname(path));
    rmSync(join(this.root, path), { force: true });
    mkdirSync(join(this.root, path));
    shareFolder(join(this.root, path));
    this.#link(path);
  }

  /** Opens a folder and all folders in it. One that the tree does not have is made: kbuild compiles other files' code there. */
  openBelow(folder: string): void {
    this.open(folder);
    if (!existsSync(join(this.tree, folder))) return;
    for (const entry of readdirSync(join(this.tree, folder), { withFileTypes: true })) {
      if (entry.isDirectory()) this.openBelow(join(folder, entry.name));
    }
  }

  /** Makes a file of the tree a private, writable copy; a file that the tree does not have is left to be created. */
  copy(file: string): void {
    const path = normalize(file);
    if (this.#copied.has(path)) return;
    this.open(dirname(path));
    this.#requireReal(dirname(path));
    const target = join(this.root, path);
    rmSync(target, { force: true });
    try {
      copyFileSync(join(this.tree, path), target, constants.COPYFILE_EXCL);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    this.#copied.add(path);
  }

  /** The text of a file as the overlay has it; undefined if it does not have it, and where a link leads elsewhere. */
  text(file: string): string | undefined {
    const path = join(this.root, file);
    if (!existsSync(path)) return undefined;
    const real = realpathSync(path);
    const isInside = [this.#realRoot, this.tree].some((place) => real.startsWith(`${place}/`));
    return isInside ? readFileSync(real, 'latin1') : undefined;
  }

  /** Restores a file of the tree, or removes it if the tree does not have it. */
  restore(file: string): void {
    const path = normalize(file);
    if (!this.#copied.delete(path)) return;
    rmSync(join(this.root, path), { force: true });
    if (lstatSync(join(this.tree, path), { throwIfNoEntry: false }) !== undefined)
      symlinkSync(join(this.tree, path), join(this.root, path));
  }

  /** The files that the overlay has copied. */
  get copies(): ReadonlySet<string> {
    return this.#copied;
  }

  /**
   * Of the files that a compiler read (paths as it names them, relative to the root): those that are the tree's unpatched
   * version of a file that the overlay has its own copy of.
   */
  strays(read: Iterable<string>): string[] {
    const originals = new Set([...this.#copied].map((file) => join(this.tree, file)));
    return [...read].filter((file) => {
      try {
        // Resolved like the system does: `join` and plain `realpathSync` would remove `x/..` before following links.
        return originals.has(realpathSync.native(`${this.root}/${file}`));
      } catch {
        return false;
      }
    });
  }

  /** Turns every folder on the path of a stray file into a real folder, so that `..` in it leads back into the overlay. */
  mend(stray: string): void {
    let path = '.';
    for (const part of stray.split('/')) {
      path = normalize(join(path, part));
      if (path.startsWith('..')) return;
      const entry = lstatSync(join(this.root, path), { throwIfNoEntry: false });
      if (entry === undefined) return;
      if (entry.isSymbolicLink() && lstatSync(join(this.tree, path)).isDirectory()) this.open(path);
    }
  }

  /**
   * Makes sure that a real folder is still one before something is written there: where kpatch is not root, a program in
   * the sandbox could have put a link in its place. None runs while the overlay is changed.
   */
  #requireReal(folder: string): void {
    const path = join(this.root, folder);
    const real = realpathSync(path);
    if (real !== join(this.#realRoot, folder)) throw leadsOut(path, real);
  }

  #link(folder: string): void {
    this.#real.add(folder);
    const source = join(this.tree, folder);
    let names: string[] = [];
    try {
      names = readdirSync(source);
    } catch {
      return; // a folder that only the patch makes
    }
    // Results of an earlier build are not linked: kbuild must create its own instead of writing through a link.
    for (const name of names) {
      if (isProduct(name, folder)) continue;
      symlinkSync(join(source, name), join(this.root, folder, name));
    }
  }
}

function leadsOut(file: string, real: string): Error {
  return failure('sandbox-output', { file, problem: `it leads to ${real}` }, { where: { file } });
}

function isProduct(name: string, folder: string): boolean {
  if (/^(scripts|tools|include|arch\/\w+\/include)(\/|$)/.test(folder)) return false;
  return /\.[os]$/.test(name) || /^\..*\.[os]\.cmd$/.test(name);
}
