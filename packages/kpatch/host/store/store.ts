/**
 * The store: `/var/lib/kpatch/RELEASE/NAME.ko`, as in dynup/kpatch, with an index next to the modules. Readers see the
 * state in the index, even if a power cut interrupted changes to the files; a writer first completes such changes.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes, readRegularFile, syncFolder, writeAtomically, writeError } from '../../base/files.ts';
import type { Manifest } from '../../module/manifest.ts';
import { companions, proofPath, provenancePath } from '../../module/proof-path.ts';
import { namesIn, statOf } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { foreign } from '../machine/owner.ts';
import { type ModuleFile, moduleFileOf, moduleNameOf } from './module-file.ts';
import {
  type Acceptance,
  type Index,
  type IndexEntry,
  isPlainName,
  type PendingChange,
  readIndex,
  writeIndex,
} from './store-index.ts';

export interface InstalledPatch {
  readonly name: string;
  readonly release: string;
  /** File name. */
  readonly file: string;
  /** Current path of the file (the staged file until the change in the index is applied). */
  readonly path: string;
  /** Recorded at installation; absent for a module that another tool put there. */
  readonly sha256: string | undefined;
  readonly installed: string | undefined;
  /** How it was accepted; absent if nothing is recorded. */
  readonly acceptance?: Acceptance | undefined;
}

/** Releases that have a folder in the store, sorted. */
export function releasesIn(machine: Machine): string[] {
  // A folder may be a symbolic link to a larger disk.
  const isFolder = (name: string): boolean => statOf(join(machine.store, name))?.isDirectory() ?? false;
  return namesIn(machine.store).filter((name) => releaseProblem(name) === undefined && isFolder(name));
}

/** All installed patches of all releases. */
export function installedEverywhere(machine: Machine): InstalledPatch[] {
  return releasesIn(machine).flatMap((release) => installedPatches(machine, release));
}

/** The patches installed for a release, in order of installation; those without a record first. */
export function installedPatches(machine: Machine, release: string): InstalledPatch[] {
  const folder = folderOf(machine, release);
  const index = readIndex(folder);
  const { entries, pending }: Pick<Index, 'entries' | 'pending'> = index === 'damaged' ? { entries: [] } : index;
  const gone = new Set(pending?.remove ?? []);
  const recorded = entries.map((entry) => ({ ...entry, release, path: currentPath(folder, entry.file, pending) }));
  const known = new Set(entries.map(({ file }) => file));
  const found = namesIn(folder)
    .filter((file) => /^[^.].*\.ko$/.test(file) && !known.has(file) && !gone.has(file))
    .map((file) => ({
      name: moduleNameOf(file),
      release,
      file,
      path: join(folder, file),
      sha256: undefined,
      installed: undefined,
    }));
  return [...found, ...recorded.sort((a, b) => (a.installed < b.installed ? -1 : 1))];
}

/** True if the index of a release is damaged, so that only the files show what is installed. */
export function indexDamaged(machine: Machine, release: string): boolean {
  return readIndex(folderOf(machine, release)) === 'damaged';
}

/** The installed patch of that name, with or without `.ko`. Error: `not-installed`. */
export function findInstalled(machine: Machine, release: string, name: string): InstalledPatch {
  const wanted = moduleNameOf(name);
  const patches = installedPatches(machine, release);
  const found = patches.find((patch) => patch.file === name || patch.name === wanted);
  if (found !== undefined) return found;
  const others = installedEverywhere(machine).filter((patch) => patch.name === wanted);
  const detail = others.length === 0 ? '' : `installed for: ${others.map((patch) => patch.release).join(', ')}`;
  throw failure('not-installed', { name, release }, { detail });
}

/**
 * Reads an installed patch and compares it with its recorded digest.
 * Errors: `store-damaged`, `file-unreadable`, those of `readModuleFile`.
 */
export function readInstalled(patch: InstalledPatch): ModuleFile {
  const folder = dirname(patch.path);
  const path = foreign([dirname(folder), folder, patch.path]);
  if (path !== undefined) throw failure('store-unsafe', { path, name: patch.name }, { where: { file: path } });
  const bytes = readRegularFile(patch.path);
  if (patch.sha256 !== undefined && sha256(bytes) !== patch.sha256) {
    throw failure('store-damaged', { name: patch.name, release: patch.release }, { where: { file: patch.path } });
  }
  return moduleFileOf(bytes, patch.path);
}

/** The manifest of an installed patch, if it is readable. */
export function manifestOfInstalled(patch: InstalledPatch): Manifest | undefined {
  try {
    return readInstalled(patch).manifest;
  } catch {
    return undefined;
  }
}

/** The folder for a module that is not installed yet, under its final file name. */
const STAGED = '.staged';

/** The files that were checked with a module. */
export interface Beside {
  readonly proof?: Uint8Array | undefined;
  readonly provenance?: Uint8Array | undefined;
}

/** A module that is in the folder of the store but not installed yet. */
export interface Staged {
  readonly path: string;
  /**
   * Installs it, with its proof and provenance if any, and removes `replaced`, atomically. Errors: `disk-full`,
   * `file-unwritable`.
   */
  commit(replaced: readonly InstalledPatch[], acceptance: Acceptance, beside?: Beside): void;
  /** Deletes it. */
  discard(): void;
}

/**
 * Writes a module durably into the folder of the store under a hidden name. The caller holds the lock.
 * Errors: `disk-full`, `file-unwritable`, `store-index-damaged`.
 */
export function stage(machine: Machine, release: string, module: ModuleFile, file: string): Staged {
  const folder = makeFolder(machine, release);
  const path = join(folder, STAGED, file);
  recover(machine, release);
  try {
    // Whatever the umask says: only root may put files here.
    mkdirSync(join(folder, STAGED), { recursive: true, mode: 0o700 });
    syncFolder(folder);
  } catch (error) {
    throw writeError(folder, error);
  }
  writeAtomically(path, module.bytes);
  return {
    path,
    discard: () => rmSync(path, { force: true }),
    commit(replaced, acceptance, { proof, provenance } = {}) {
      // They come first: a proof without a module is cleaned up, but a module without its proof would be refused.
      if (proof !== undefined) writeAtomically(proofPath(join(folder, file)), proof);
      if (provenance !== undefined) writeAtomically(provenancePath(join(folder, file)), provenance);
      const remove = replaced.map((patch) => patch.file).filter((name) => name !== file);
      const index = goodIndex(folder);
      const entry: IndexEntry = {
        name: module.name,
        file,
        sha256: module.sha256,
        installed: machine.clock.date().toISOString(),
        acceptance,
      };
      const entries = index.entries.filter((old) => old.file !== file && !remove.includes(old.file));
      const pending = { staged: file, remove };
      writeIndex(folder, { ...index, entries: [...entries, entry], pending });
      followIndex(machine, release);
    },
  };
}

/** Removes patches from the store, atomically. The caller holds the lock. Errors as for `stage`. */
export function removeInstalled(machine: Machine, release: string, patches: readonly InstalledPatch[]): void {
  const folder = folderOf(machine, release);
  recover(machine, release);
  const remove = patches.map(({ file }) => file);
  const index = goodIndex(folder);
  const entries = index.entries.filter(({ file }) => !remove.includes(file));
  writeIndex(folder, { ...index, entries, pending: { remove } });
  followIndex(machine, release);
}

/** The change is committed and visible to readers; if it cannot be applied to the files now, the next writer does it. */
function followIndex(machine: Machine, release: string): void {
  try {
    recover(machine, release);
  } catch {
    // see above
  }
}

/**
 * Applies a committed change that a power cut interrupted, and removes leftovers of uncommitted ones.
 * Errors: `disk-full`, `file-unwritable`, `store-index-damaged`.
 */
export function recover(machine: Machine, release: string): void {
  const folder = folderOf(machine, release);
  if (!existsSync(folder)) return;
  const { pending, ...index } = goodIndex(folder);
  try {
    if (pending !== undefined) {
      const { staged, remove } = pending;
      if (staged !== undefined && existsSync(join(folder, STAGED, staged))) {
        renameSync(join(folder, STAGED, staged), join(folder, staged));
      }
      syncFolder(folder); // the new file must be durable before an old one is deleted
      for (const old of remove) rmSync(join(folder, old), { force: true });
      syncFolder(folder);
      writeIndex(folder, index);
    }
    for (const left of namesIn(folder)) if (/^\..*\.tmp$/.test(left)) rmSync(join(folder, left), { force: true });
    for (const left of namesIn(folder)) {
      const end = companions.find((one) => left.endsWith(one));
      const orphan = end !== undefined && !existsSync(join(folder, `${left.slice(0, -end.length)}.ko`));
      if (orphan) rmSync(join(folder, left), { force: true });
    }
    for (const left of namesIn(join(folder, STAGED))) rmSync(join(folder, STAGED, left), { force: true });
  } catch (error) {
    throw writeError(folder, error);
  }
}

/** Moves a damaged index away and rebuilds it from the modules in the folder. The caller holds the lock. */
export function rebuildIndex(machine: Machine, release: string): void {
  const folder = folderOf(machine, release);
  if (!indexDamaged(machine, release)) return;
  const entries = installedPatches(machine, release).flatMap(({ name, file, path }): IndexEntry[] => {
    const stat = statOf(path);
    // Not a regular file, so not a module.
    if (!stat?.isFile()) return [];
    return [{ name, file, sha256: sha256(readBytes(path)), installed: stat.mtime.toISOString() }];
  });
  writeIndex(folder, { schema: 'kpatch.store/1', entries });
}

/** The folder of a release. Error: `usage` if the release is not a valid folder name. */
export function folderOf(machine: Machine, release: string): string {
  const problem = releaseProblem(release);
  if (problem !== undefined) throw failure('usage', { problem });
  return join(machine.store, release);
}

function releaseProblem(release: string): string | undefined {
  const good = isPlainName(release) && /^\d[\w.+~-]*$/.test(release);
  return good ? undefined : `'${release}' is not a kernel release`;
}

/** The record of bytes that are installed for a release; `undefined` where there is none. Never throws. */
export function recordOf(machine: Machine, release: string, digest: string): IndexEntry | undefined {
  if (releaseProblem(release) !== undefined) return undefined;
  const index = readIndex(join(machine.store, release));
  return index === 'damaged' ? undefined : index.entries.find((entry) => entry.sha256 === digest);
}

/** Changes the index of a release and nothing else. Take the store's lock first. Errors as for `stage`. */
export function changeIndex(machine: Machine, release: string, change: (index: Index) => Index): void {
  const folder = folderOf(machine, release);
  const index = goodIndex(folder);
  const changed = change(index);
  if (JSON.stringify(changed) !== JSON.stringify(index)) writeIndex(folder, changed);
}

function goodIndex(folder: string): Index {
  const index = readIndex(folder);
  if (index === 'damaged') throw failure('store-index-damaged', { folder }, { where: { file: folder } });
  return index;
}

function currentPath(folder: string, file: string, pending: PendingChange | undefined): string {
  const staged = join(folder, STAGED, file);
  return pending?.staged === file && existsSync(staged) ? staged : join(folder, file);
}

/** Makes the folder of a release where there is none, durably, and returns it. Errors: `usage`, `disk-full`, `file-unwritable`. */
export function makeFolder(machine: Machine, release: string): string {
  const folder = folderOf(machine, release);
  if (existsSync(folder)) return folder;
  try {
    const first = mkdirSync(folder, { recursive: true, mode: 0o755 });
    // A new folder is durable only after its parent has been synced.
    for (let made = folder; first !== undefined; made = dirname(made)) {
      syncFolder(dirname(made));
      if (made === first || basename(made) === '') break;
    }
    const fd = openSync(folder, 'r');
    fsyncSync(fd);
    closeSync(fd);
  } catch (error) {
    throw writeError(folder, error);
  }
  return folder;
}
