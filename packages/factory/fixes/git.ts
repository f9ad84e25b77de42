/** A git repository, read without touching it: new objects go into a folder of their own. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { failure, run, temporaryFolder } from 'kpatch/parts';

export interface GitResult {
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const identity = { NAME: 'kpatch-factory', EMAIL: 'kpatch-factory@localhost', DATE: '2000-01-01T00:00:00Z' };

export class Git {
  readonly folder: string;
  readonly #work = temporaryFolder('kpatch-git-');
  #env: Record<string, string> = {};

  private constructor(folder: string) {
    this.folder = resolve(folder);
  }

  /** Opens a repository, bare or not. Error: `factory-repository`. */
  static async open(folder: string): Promise<Git> {
    const git = new Git(folder);
    const found = await git.try(['rev-parse', '--absolute-git-dir']);
    if (found.status !== 0) {
      git[Symbol.dispose]();
      throw failure('factory-repository', { folder, problem: 'it is not a git repository' });
    }
    const objects = (await git.ok(['rev-parse', '--git-path', 'objects'])).toString().trim();
    const own = join(git.#work.path, 'objects');
    mkdirSync(own);
    git.#env = {
      GIT_OBJECT_DIRECTORY: own,
      GIT_ALTERNATE_OBJECT_DIRECTORIES: resolve(git.folder, objects),
      GIT_INDEX_FILE: join(git.#work.path, 'index'),
      ...Object.fromEntries(
        ['AUTHOR', 'COMMITTER'].flatMap((who) =>
          Object.entries(identity).map(([what, value]) => [`GIT_${who}_${what}`, value]),
        ),
      ),
    };
    return git;
  }

  [Symbol.dispose](): void {
    this.#work[Symbol.dispose]();
  }

  /** Runs git with any exit status; hooks and settings of the user do not matter. */
  async try(
    args: readonly string[],
    options: { input?: Uint8Array | string; workTree?: string } = {},
  ): Promise<GitResult> {
    const tree = options.workTree === undefined ? {} : { GIT_WORK_TREE: options.workTree };
    return await run('git', ['-C', this.folder, '-c', 'core.quotePath=false', '-c', 'core.autocrlf=false', ...args], {
      env: { ...this.#env, ...tree, LC_ALL: 'C' },
      ...(options.input === undefined ? {} : { input: options.input }),
    });
  }

  /** The output of git. Error: `factory-repository` if it fails. */
  async ok(args: readonly string[], options: { input?: Uint8Array | string; workTree?: string } = {}): Promise<Buffer> {
    const { status, stdout, stderr } = await this.try(args, options);
    const problem = stderr.trim().split('\n').at(-1) || `git ${args[0]} failed`;
    if (status !== 0) throw failure('factory-repository', { folder: this.folder, problem }, { detail: stderr });
    return stdout;
  }

  /** The full id of a commit; undefined if the repository lacks it. */
  async commit(name: string): Promise<string | undefined> {
    if (name.startsWith('-')) return undefined;
    const { status, stdout } = await this.try(['rev-parse', '--verify', '--quiet', `${name}^{commit}`]);
    return status === 0 ? stdout.toString().trim() : undefined;
  }

  async isAncestor(older: string, newer: string): Promise<boolean> {
    return (await this.try(['merge-base', '--is-ancestor', older, newer])).status === 0;
  }

  async isShallow(): Promise<boolean> {
    return (await this.ok(['rev-parse', '--is-shallow-repository'])).toString().trim() === 'true';
  }

  /** The change of a commit against its first parent. */
  async diff(commit: string): Promise<Buffer> {
    return await this.ok(['diff-tree', '-p', '--binary', '--full-index', '--no-commit-id', '--root', commit]);
  }

  /** The tree after this change is applied to `tree` by a three-way merge; undefined with the conflicts if that fails. */
  async apply(tree: string, change: Uint8Array): Promise<{ tree?: string; problem: string }> {
    await this.ok(['read-tree', tree]);
    const { status, stderr } = await this.try(['apply', '--cached', '--3way', '--whitespace=nowarn', '-'], {
      input: change,
    });
    if (status === 0) return { tree: (await this.ok(['write-tree'])).toString().trim(), problem: '' };
    const problem = stderr.split('\n').findLast((line) => /^error:|with conflicts/.test(line)) ?? stderr.trim();
    return { problem: problem.replace(/^error: /, '') };
  }

  /** A commit of the files in a folder, for a kernel whose source is not in the repository. It takes half a minute for a kernel. */
  async importTree(folder: string): Promise<string> {
    await this.ok(['read-tree', '--empty']);
    await this.ok(['add', '--force', '--all', '.'], { workTree: resolve(folder) });
    const tree = (await this.ok(['write-tree'])).toString().trim();
    // Without a parent: which commits of the repository are in this source shows only where they are applied.
    return (await this.ok(['commit-tree', tree, '-m', 'source'])).toString().trim();
  }
}
