/** What a program in a sandbox sees: the toolchain, what the caller names, nothing else. As arguments of bwrap(1). */
import { accessSync, constants, existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, join, resolve } from 'node:path';

/** Paths keep their names inside, so that what a compiler writes down does not depend on the sandbox. */
export interface View {
  /** Files and folders that can be read; what is not there is left out. */
  readonly readOnly?: readonly string[];
  /** Folders in which files can be made, see `shareFolder`. */
  readonly writable?: readonly string[];
  /** A build root: its folder is shown as `/usr` in place of this machine's own programs. */
  readonly buildRoot?: string | undefined;
}

/** What compilers and shells read of /etc. */
const settings = ['/etc/alternatives', '/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/rpm'];
const topFolders = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/**
 * Arguments of bwrap for the toolchain, an empty /tmp, /proc, a small /dev, and the view. `tmpBytes` is the size
 * of /tmp; undefined for a bubblewrap that cannot set it.
 */
export function viewArguments(view: View, tools: readonly string[], tmpBytes: number | undefined): string[] {
  const root = view.buildRoot ?? '/';
  const args = ['--ro-bind', join(root, 'usr'), '/usr', '--dir', '/etc'];
  for (const folder of topFolders) {
    const entry = lstatSync(join(root, folder), { throwIfNoEntry: false });
    if (entry?.isSymbolicLink() === true) args.push('--symlink', readlinkSync(join(root, folder)), folder);
    else if (entry !== undefined) args.push('--ro-bind', join(root, folder), folder);
  }
  for (const path of settings) args.push('--ro-bind-try', join(root, path), path);
  const size = tmpBytes === undefined ? [] : ['--size', String(tmpBytes)];
  args.push('--proc', '/proc', '--dev', '/dev', '--perms', '1777', ...size, '--tmpfs', '/tmp');
  const places = new Map<string, 'ro' | 'rw'>();
  const add = (path: string, how: 'ro' | 'rw'): void => {
    // Under its real name too: links of other folders lead there.
    for (const name of [resolve(path), realpathSync(path)]) if (!isToolchain(name)) places.set(name, how);
  };
  for (const path of [...tools, ...(view.readOnly ?? [])].filter(existsSync)) add(path, 'ro');
  for (const path of (view.writable ?? []).filter(existsSync)) add(path, 'rw');
  // What is in another is mounted after it.
  const mounted = [...places].sort(([a], [b]) => a.length - b.length);
  for (const [path, how] of mounted) {
    args.push(...newFolders(path, [...places.keys()]), how === 'ro' ? '--ro-bind' : '--bind', path, path);
  }
  return args;
}

/** The folders above a path that no mount brings: bwrap would make them for their owner alone. */
function newFolders(path: string, places: readonly string[]): string[] {
  const above = dirname(path);
  if (above === '/' || above === '/tmp') return [];
  if (places.some((place) => above === place || above.startsWith(`${place}/`))) return [];
  return [...newFolders(above, places), '--dir', above];
}

/** True for a path of the toolchain, which every sandbox sees. */
export function isToolchain(path: string): boolean {
  return ['/usr', ...topFolders].some((folder) => path === folder || path.startsWith(`${folder}/`));
}

/**
 * Folders of programs that are installed elsewhere than in /usr: of `bin/gcc` in a toolchain's folder, the whole folder.
 * `words` are names or paths of programs, also as `CC=gcc-12`.
 */
export function toolFolders(words: readonly string[], path: string): string[] {
  const programs = words.map((word) => find(word.replace(/^\w+=/, '').split(' ')[0] ?? '', path));
  const outside = programs.filter((program) => program !== undefined && !isToolchain(program));
  return [...new Set(outside.flatMap((program) => [folderOf(program!), folderOf(realpathSync(program!))]))].filter(
    (folder) => !isToolchain(folder),
  );
}

function folderOf(program: string): string {
  const folder = dirname(program);
  const above = dirname(folder);
  return basename(folder) === 'bin' && above !== '/' && existsSync(join(above, 'lib')) ? above : folder;
}

function find(program: string, path: string): string | undefined {
  if (program === '') return undefined;
  const candidates = program.includes('/') ? [program] : path.split(delimiter).map((folder) => join(folder, program));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return lstatSync(realpathSync(file)).isFile();
    } catch {
      return false;
    }
  });
}
