/** Small git repositories for tests: a source, and commits in the form of a stable branch. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export class TestRepository {
  readonly folder: string;
  #time = 1_700_000_000;

  /** Without files: a repository that is there already. */
  constructor(folder: string, files: Readonly<Record<string, string>> | undefined) {
    this.folder = folder;
    if (files === undefined) return;
    mkdirSync(folder, { recursive: true });
    this.git('init', '-q', '-b', 'stable');
    this.commit('the source', files);
  }

  git(...args: string[]): string {
    const date = `${this.#time++} +0000`;
    return execFileSync('git', ['-C', this.folder, ...args], {
      encoding: 'utf8',
      env: {
        ...process.env,
        GIT_AUTHOR_NAME: 't',
        GIT_AUTHOR_EMAIL: 't@example.org',
        GIT_COMMITTER_NAME: 't',
        GIT_COMMITTER_EMAIL: 't@example.org',
        GIT_AUTHOR_DATE: date,
        GIT_COMMITTER_DATE: date,
      },
    }).trim();
  }

  /** Writes the files (undefined removes one) and commits; gives the id. */
  commit(message: string, files: Readonly<Record<string, string | undefined>>): string {
    for (const [name, text] of Object.entries(files)) {
      const path = join(this.folder, name);
      mkdirSync(dirname(path), { recursive: true });
      if (text === undefined) rmSync(path);
      else writeFileSync(path, text);
    }
    this.git('add', '-A');
    this.git('commit', '-q', '--allow-empty', '-m', message);
    return this.git('rev-parse', 'HEAD');
  }
}

/** Lines of a file, with some of them replaced. */
export function lines(count: number, changes: Readonly<Record<number, string>> = {}): string {
  return Array.from({ length: count }, (_, at) => `${changes[at + 1] ?? `line ${at + 1}`}\n`).join('');
}
