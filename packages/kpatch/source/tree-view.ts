/**
 * What is known of the files of a tree while the diffs of a patch are placed: the files, and what earlier diffs did to
 * them.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PatchedFile } from './diff/file.ts';

export type FileKind = 'file' | 'special' | 'none';

export class TreeView {
  /** There is no tree: what `kind` says is a guess. */
  readonly isAssumed: boolean;
  readonly #look: (path: string) => 'file' | 'folder' | 'special' | 'none';
  readonly #read: (path: string) => string;
  readonly #made: Map<string, 'file' | 'none'>;
  readonly #changed: Map<string, number>;

  private constructor(
    look: (path: string) => 'file' | 'folder' | 'special' | 'none',
    read: (path: string) => string,
    made: Iterable<[string, 'file' | 'none']> = [],
    changed: Iterable<[string, number]> = [],
    isAssumed = false,
  ) {
    this.isAssumed = isAssumed;
    this.#look = look;
    this.#read = read;
    this.#made = new Map(made);
    this.#changed = new Map(changed);
  }

  /** A folder with source. Links are never followed: a patch must not reach what a link leads to. */
  static of(folder: string): TreeView {
    const known = new Map<string, 'file' | 'folder' | 'special' | 'none'>();
    const look = (path: string): 'file' | 'folder' | 'special' | 'none' => {
      const slash = path.lastIndexOf('/');
      const above = slash < 0 ? 'folder' : (known.get(path.slice(0, slash)) ?? look(path.slice(0, slash)));
      const stat = above === 'folder' ? lstatSync(join(folder, path), { throwIfNoEntry: false }) : undefined;
      const kind =
        stat?.isFile() === true
          ? 'file'
          : stat?.isDirectory() === true
            ? 'folder'
            : stat === undefined
              ? 'none'
              : 'special';
      // Below a link or a file there is nothing that a patch may change.
      const found = above === 'special' || above === 'file' ? 'special' : kind;
      known.set(path, found);
      return found;
    };
    return new TreeView(look, (path) => readFileSync(join(folder, path), 'latin1'));
  }

  /** Where there is no tree yet: the folders at the top of every kernel tell which names could be paths in one. */
  static assumed(): TreeView {
    const folders =
      /^(?:arch|block|certs|crypto|Documentation|drivers|fs|include|init|io_uring|ipc|kernel|lib|LICENSES|mm|net|rust|samples|scripts|security|sound|tools|usr|virt)$/;
    const files = /^(?:Makefile|Kbuild|Kconfig|MAINTAINERS|CREDITS)$/;
    return new TreeView(
      (path) => {
        const [top] = path.split('/', 1);
        if (top === path) return folders.test(path) ? 'folder' : files.test(path) ? 'file' : 'none';
        return folders.test(top!) ? 'file' : 'none';
      },
      () => '',
      [],
      [],
      true,
    );
  }

  kind(path: string): FileKind {
    const kind = this.#made.get(path) ?? this.#look(path);
    return kind === 'folder' ? 'special' : kind;
  }

  isFolder(path: string): boolean {
    return this.#look(path) === 'folder';
  }

  /** The bytes of a file of the tree; empty if there is none. */
  text(path: string): string {
    try {
      return this.#read(path);
    } catch {
      return '';
    }
  }

  /** Whether a diff of this group changed the file. */
  changedIn(path: string, group: number): boolean {
    return this.#changed.get(path) === group;
  }

  /** The same knowledge, to be changed apart from this. */
  copy(): TreeView {
    return new TreeView(this.#look, this.#read, this.#made, this.#changed, this.isAssumed);
  }

  /** Takes over what diffs do to files. */
  apply(files: readonly PatchedFile[]): void {
    for (const { path, from, kind, group } of files) {
      if (kind === 'rename') this.#made.set(from!, 'none');
      this.#made.set(path, kind === 'delete' ? 'none' : 'file');
      this.#changed.set(path, group);
    }
  }
}
