/** What the cache holds: each entry with what it is, how large it is, when it was last used and whether it is in use. */
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isAbandoned } from '../../base/process/leftovers.ts';
import { run } from '../../base/run.ts';
import { cacheRoot } from '../../base/workspace.ts';
import type { cacheDocument } from '../../documents/definitions/make.ts';
import type { Content } from '../../documents/document.ts';
import {
  cachedReleases,
  kernelFolder,
  kernelLock,
  manifestText,
  packagesFolder,
  packagesLock,
  writersLock,
} from '../cache.ts';
import { derivedFolder } from '../facts.ts';
import { describedKernel } from '../manifest.ts';
import { heldLocks, isHeld, type Locks } from './held.ts';

/**
 * `kernel`: a prepared kernel. `derived`: what follows from it (object map, include graph). `objects`: its compiled
 * units. `guest`: a booted virtual machine that proofs resume. `packages`: a downloaded package, the packages of one
 * release, or downloaded commits. `lists`: package lists of another distribution release. `root`: a build root, the compiler and tools of a
 * distribution release. `code`: the program's own compiled code, and programs for
 * virtual machines of other machines. `leftover`: what a killed kpatch left, and data of a kernel
 * that is gone. `other`: files that this command does not manage and never removes.
 */
export type CacheKind = Content<typeof cacheDocument>['entries'][number]['kind'];
/** In the order of the listing. */
export const kinds: readonly CacheKind[] = [
  'kernel',
  'derived',
  'objects',
  'guest',
  'root',
  'packages',
  'lists',
  'code',
  'leftover',
  'other',
];

export interface CacheEntry {
  readonly kind: CacheKind;
  /** A release or key for what belongs to a kernel, else a file name. */
  readonly name: string;
  readonly path: string;
  /** Bytes on the disk. */
  readonly bytes: number;
  /** Last use, ISO 8601. */
  readonly used: string;
  /** A running kpatch holds a lock on it. */
  readonly inUse: boolean;
  /** The kernel whose lock protects it; undefined for packages, which share one lock, and for other files. */
  readonly kernel?: string;
  /** The prepared kernels that need it; it stays as long as there is one. */
  readonly neededBy?: readonly string[];
  /** What it is, in words. */
  readonly what: string;
}

type Found = Omit<CacheEntry, 'bytes'>;

/** Every entry of the cache by kind, then by name. Errors: `tool-failed`, `tool-missing`. */
export async function cacheEntries(): Promise<CacheEntry[]> {
  const root = cacheRoot();
  const locks = heldLocks();
  const found = namesIn(root).flatMap((folder): Found[] => {
    if (folder === 'kernels') return kernels(locks);
    if (folder === 'derived') return derived(locks);
    if (folder === 'packages') return packages(locks);
    if (folder === 'guests') return guests();
    if (folder === 'proofs') return proofs();
    if (folder === 'apt') return lists(locks);
    if (folder === 'roots') return roots(locks);
    if (folder === 'node') return code();
    if (folder === 'programs') return programs();
    if (folder === 'git') return commits();
    if (folder === 'timings.json') return timings();
    const path = join(root, folder);
    return [
      { kind: 'other', name: folder, path, used: timeOf(path), inUse: false, what: 'not managed by kpatch cache' },
    ];
  });
  const sizes = await sizesOf(found.map(({ path }) => path));
  const entries = found.map((entry): CacheEntry => ({ ...entry, bytes: sizes.get(entry.path) ?? 0 }));
  // What is listed by itself is not counted in the folder around it.
  const alone = entries.map((entry) => {
    const inner = entries.filter(({ path }) => path.startsWith(`${entry.path}/`));
    return { ...entry, bytes: entry.bytes - inner.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
  return alone.sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1));
}

function kernels(locks: Locks): Found[] {
  const folder = join(cacheRoot(), 'kernels');
  return namesIn(folder).flatMap((name): Found[] => {
    const path = join(folder, name);
    if (name.startsWith('.')) return leftover(name, path);
    const inUse = isHeld(locks, kernelLock(name)) || isHeld(locks, writersLock(name));
    const common = { name, path, kernel: name, inUse } as const;
    const kernel = describedKernel(name);
    if (kernel === undefined) {
      const what = inUse ? 'kernel being prepared' : 'incompletely prepared kernel';
      return [{ ...common, kind: inUse ? 'kernel' : 'leftover', used: timeOf(path), what }];
    }
    const what = `prepared kernel, ${kernel.distribution} ${kernel.sourceVersion}`;
    return [{ ...common, kind: 'kernel', used: lastUse(name), what }];
  });
}

function derived(locks: Locks): Found[] {
  const folder = join(cacheRoot(), 'derived');
  return namesIn(folder).flatMap((name): Found[] => {
    const path = join(folder, name);
    if (name.startsWith('.')) return leftover(name, path);
    const key = name.slice(0, name.lastIndexOf('-'));
    const kernel = describedKernel(key);
    const common = { name, path, kernel: key, inUse: isHeld(locks, kernelLock(key)) } as const;
    if (kernel === undefined || derivedFolder(kernel) !== path) {
      return [{ ...common, kind: 'leftover', used: timeOf(path), what: 'data of a removed kernel' }];
    }
    const used = lastUse(key);
    const whole: Found = { ...common, kind: 'derived', used, what: `object map and include graph of ${key}` };
    const objects = join(path, 'objects');
    if (!existsSync(objects)) return [whole];
    const what = `compiled units of ${key}`;
    return [whole, { ...common, kind: 'objects', path: objects, used: later(used, timeOf(objects)), what }];
  });
}

function packages(locks: Locks): Found[] {
  const folder = packagesFolder();
  const inUse = isHeld(locks, packagesLock());
  return namesIn(folder).flatMap((name): Found[] => {
    const path = join(folder, name);
    if (name.startsWith('.')) return leftover(name, path);
    const stat = lstatSync(path);
    // apt gives a package's file the time of its making; the inode's time says when it came here.
    const used = later(timeOf(path), stat.ctime.toISOString());
    const what = stat.isDirectory() ? `downloaded packages of ${name}` : 'downloaded package';
    return [{ kind: 'packages', name, path, used, inUse, what }];
  });
}

/** A proof that resumes a guest has opened its file, and each use touches it: so removing it is harmless. */
function guests(): Found[] {
  const folder = join(cacheRoot(), 'guests');
  return namesIn(folder).flatMap((name): Found[] => {
    const path = join(folder, name);
    if (!name.endsWith('.guest')) return leftover(name, path);
    const used = statSync(path).mtime.toISOString();
    return [{ kind: 'guest', name, path, used, inUse: false, what: 'booted virtual machine for proofs' }];
  });
}

/** Finished boots of proofs that were interrupted; a running proof does without them. */
function proofs(): Found[] {
  const folder = join(cacheRoot(), 'proofs');
  return namesIn(folder).map((name): Found => {
    const path = join(folder, name);
    const what = 'finished boot of an interrupted proof';
    return { kind: 'leftover', name, path, used: timeOf(path), inUse: false, what };
  });
}

/** apt with lists of its own, for the packages of another distribution release (distro/debian). */
function lists(locks: Locks): Found[] {
  const folder = join(cacheRoot(), 'apt');
  const inUse = isHeld(locks, packagesLock());
  return namesIn(folder).map((name) => {
    const path = join(folder, name);
    return { kind: 'lists', name, path, used: timeOf(path), inUse, what: 'package lists of a distribution release' };
  });
}

/** The manifest of a kernel names the build root that it is compiled in. */
function roots(locks: Locks): Found[] {
  const folder = join(cacheRoot(), 'roots');
  return namesIn(folder).flatMap((name): Found[] => {
    const path = join(folder, name);
    if (name.startsWith('.')) return leftover(name, path);
    const neededBy = cachedReleases().filter((key) => manifestText(key)?.includes(JSON.stringify(path)));
    const inUse = [packagesLock(), join(folder, `.${name}.lock`)].some((file) => isHeld(locks, file));
    const what = neededBy.length === 0 ? 'build root that no kernel needs' : `build root of ${neededBy.join(', ')}`;
    return [{ kind: 'root', name, path, used: timeOf(path), inUse, neededBy, what }];
  });
}

/** A checkout keeps the compiled form of its sources (bin/kpatch); Node writes it again. */
function code(): Found[] {
  const path = join(cacheRoot(), 'node');
  return [
    { kind: 'code', name: 'node', path, used: timeOf(path), inUse: false, what: 'compiled code of kpatch itself' },
  ];
}

/** Downloaded again when a guest of that machine is booted. */
function programs(): Found[] {
  const path = join(cacheRoot(), 'programs');
  const what = 'programs of other machines for virtual machines';
  return [{ kind: 'code', name: 'programs', path, used: timeOf(path), inUse: false, what }];
}

/** git has no lock that says whether a build fetches into the repository, so one that has just changed counts as in use. */
const FETCH_MS = 600_000;

/** Repositories with the commits that builds asked for, one for each address; they are fetched again. */
function commits(): Found[] {
  const folder = join(cacheRoot(), 'git');
  return namesIn(folder).map((name): Found => {
    const path = join(folder, name);
    const used = later(timeOf(path), timeOf(join(path, 'FETCH_HEAD')));
    const inUse = Date.now() - Date.parse(used) < FETCH_MS;
    return { kind: 'packages', name, path, used, inUse, what: 'downloaded commits of a kernel repository' };
  });
}

/** What `builder/duration/timings.ts` keeps; small, and never removed. */
function timings(): Found[] {
  const path = join(cacheRoot(), 'timings.json');
  const what = 'how long builds took on this machine';
  return [{ kind: 'derived', name: 'timings.json', path, used: timeOf(path), inUse: false, what }];
}

/** Hidden names are locks, and temporary files and folders; those are entries once their owner has ended. */
function leftover(name: string, path: string): Found[] {
  if (!name.startsWith('.trash-') && !isAbandoned(name)) return [];
  return [{ kind: 'leftover', name, path, used: timeOf(path), inUse: false, what: 'left behind by a killed kpatch' }];
}

/** Each use of a kernel touches its lock file (`holdKernel`). */
function lastUse(key: string): string {
  return [kernelLock(key), join(kernelFolder(key), 'manifest.json')].map(timeOf).reduce(later);
}

function later(a: string, b: string): string {
  return a > b ? a : b;
}

/** When a file or folder was last changed, ISO 8601. */
function timeOf(path: string): string {
  return (lstatSync(path, { throwIfNoEntry: false })?.mtime ?? new Date(0)).toISOString();
}

/** Bytes on the disk of each path. */
async function sizesOf(paths: readonly string[]): Promise<Map<string, number>> {
  if (paths.length === 0) return new Map();
  const { stdout } = await run('du', ['-s', '-l', '--block-size=1', '--files0-from=-'], { input: paths.join('\0') });
  const lines = stdout.toString().split('\n').filter(Boolean);
  return new Map(lines.map((line) => [line.slice(line.indexOf('\t') + 1), Number.parseInt(line, 10)]));
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
