/** The difference between the sources of two kernels. */
import { dirname, join } from 'node:path';
import { run } from '#kpatch/base/run.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';

export interface Archive {
  readonly allowExpired: boolean;
  readonly mirror?: string;
}

/** The difference between the two sources, file by file. */
export class SourceDifference {
  readonly older: TargetKernel;
  readonly newer: TargetKernel;
  readonly files: readonly string[];
  /** Where kernels and compilers come from. */
  readonly archive: Archive;
  readonly #patches = new Map<string, Promise<string>>();

  constructor(older: TargetKernel, newer: TargetKernel, files: readonly string[], archive: Archive) {
    this.older = older;
    this.newer = newer;
    this.files = files;
    this.archive = archive;
  }

  patch(file: string): Promise<string> {
    const labels = ['--label', `a/${file}`, '--label', `b/${file}`];
    const [older, newer] = [join(this.older.paths.tree, file), join(this.newer.paths.tree, file)];
    const known =
      this.#patches.get(file) ?? run('diff', ['-u', ...labels, older, newer]).then(({ stdout }) => stdout.toString());
    this.#patches.set(file, known);
    return known;
  }

  /** Further changed files that add or remove what a compiler or the build says is missing: headers first, else sources. */
  async missing(complaint: string, have: readonly string[]): Promise<string[]> {
    const quoted = [...complaint.matchAll(/(?:error|note): .*?'(?:struct |union |enum )?(\w+)['(]/g)].map(
      ([, name]) => name!,
    );
    const named = [
      ...complaint.matchAll(/(?:member named|declaration of function|conflicting types for|to function) '(\w+)'/g),
    ];
    const needed = [...complaint.matchAll(/\S+\.o needs (\w+)/g)];
    const names = new Set([...quoted, ...[...named, ...needed].map(([, name]) => name!)]);
    const near = new Set(have.map((file) => dirname(file)));
    const reachable = (file: string): boolean =>
      near.has(dirname(file)) || /^(include|arch\/x86\/include)\//.test(file);
    for (const suffix of ['.h', '.c']) {
      const found: string[] = [];
      for (const file of this.files.filter(
        (path) => path.endsWith(suffix) && reachable(path) && !have.includes(path),
      )) {
        const changed = (await this.patch(file)).split('\n').filter((line) => /^[+-][^+-]/.test(line));
        if ([...names].some((name) => changed.some((line) => new RegExp(`\\b${name}\\b`).test(line)))) found.push(file);
      }
      if (found.length > 0) return found;
    }
    return [];
  }
}
