/** Puts kpatch itself into a guest, so that the guest installs and loads patches with the code that hosts run. */

import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { isSea } from 'node:sea';
import { failure } from '../../base/errors/error.ts';
import { object, readJSON } from '../../base/plain.ts';
import { filesBelow } from '../../base/walk.ts';
import { programFolders } from '../../base/workspace.ts';
import { hostFilesFor, programsFolder } from '../../distro/programs.ts';
import type { Platform } from '../../platform/platform.ts';
import { platformHere } from '../../platform/registry.ts';
import type { GuestFile } from '../../vm/files/initramfs.ts';

/** The folder of the program in the guest; `/bin/kpatch` starts it. */
const FOLDER = '/opt/kpatch';

/**
 * Without V8's JIT compiler: for such a short run under emulation, compiling costs more than it gains, and emulators are
 * worst at code that changes while it runs.
 */
const interpreted = '--jitless';

/**
 * The files: the packaged executable, or Node with the sources of a checkout; the libraries that this process has loaded;
 * the programs that kpatch calls and busybox lacks; and `/bin/kpatch`, which starts it. None of it needs a driver in the
 * guest.
 * Error: `tool-missing`.
 */
export function ownProgram(): Record<string, GuestFile> {
  const libraries = loadedLibraries();
  const files: Record<string, GuestFile> = { '/bin/flock': { from: pathOf('flock', 'util-linux'), mode: 0o755 } };
  for (const path of libraries) files[path] = { from: path, mode: 0o755 };
  files[`${FOLDER}/program`] = { from: process.execPath, mode: 0o755 };
  const folders = [...new Set(libraries.map(dirname))].join(':');
  const main = isSea() ? '' : ` ${interpreted} ${FOLDER}/packages/kpatch/cli/main.js`;
  const start = `#!/bin/sh\nexport LD_LIBRARY_PATH=${folders}\nexec ${FOLDER}/program${main} "$@"\n`;
  files['/bin/kpatch'] = { content: start, mode: 0o755 };
  return isSea() ? files : { ...files, ...checkout() };
}

/** kpatch for a guest of that machine. Errors: those of `ownProgram` and `foreignProgram`. */
export async function programFor(platform: Platform): Promise<Record<string, GuestFile>> {
  return platform === platformHere() ? ownProgram() : await foreignProgram(platform);
}

/**
 * kpatch for a guest of another machine: its executable from the cache, with the libraries and programs of that machine's packages.
 * Errors: `guest-own-program`, those of `hostFilesFor`.
 */
export async function foreignProgram({ naming }: Platform): Promise<Record<string, GuestFile>> {
  const program = join(programsFolder(), naming.uname, 'kpatch');
  if (!existsSync(program)) throw failure('guest-own-program', { machine: naming.uname, file: program });
  const root = await hostFilesFor(naming);
  const loader = interpreterOf(program);
  const files: Record<string, GuestFile> = { [`${FOLDER}/program`]: { from: program, mode: 0o755 } };
  for (const path of pathsBelow(root)) {
    const name = basename(path);
    const file = { from: path, mode: 0o755 };
    if (name === basename(loader)) files[loader] = file;
    else if (path.endsWith('/bin/flock')) files[`${FOLDER}/flock`] = file;
    else if (/\.so(\.\d+)*$/.test(name) && !path.includes('/gconv/')) files[`${FOLDER}/lib/${soname(name)}`] = file;
  }
  files['/bin/flock'] = { content: withLibraries('flock'), mode: 0o755 };
  files['/bin/kpatch'] = { content: withLibraries('program'), mode: 0o755 };
  return files;
}

/** The loader that an executable names (PT_INTERP), which is near its start. */
function interpreterOf(program: string): string {
  const fd = openSync(program, 'r');
  try {
    const start = Buffer.alloc(8192);
    readSync(fd, start);
    return /\/lib\w*\/ld[\w.-]*\.so\.\d+/.exec(start.toString('latin1'))?.[0] ?? '/lib/ld.so.1';
  } finally {
    closeSync(fd);
  }
}

/** `libstdc++.so.6.0.30` is asked for as `libstdc++.so.6`. */
function soname(file: string): string {
  return file.replace(/(\.so\.\d+)(\.\d+)*$/, '$1');
}

function withLibraries(program: string): string {
  return `#!/bin/sh\nexport LD_LIBRARY_PATH=${FOLDER}/lib\nexec ${FOLDER}/${program} "$@"\n`;
}

function pathOf(tool: string, inPackage: string): string {
  const folders = [...programFolders(), '/usr/bin', '/bin'];
  const path = folders.map((folder) => join(folder, tool)).find((file) => existsSync(file));
  if (path === undefined) throw failure('tool-missing', { tool, package: inPackage });
  return path;
}

/** Paths of the shared libraries and the loader that this process uses. */
function loadedLibraries(): string[] {
  // Resolving the names of network peers may take seconds and is not needed (the types of Node lack this setting).
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  report.excludeNetwork = true;
  const { sharedObjects = [] } = report.getReport() as { sharedObjects?: string[] };
  return sharedObjects.filter((path) => path.startsWith('/') && path !== process.execPath && existsSync(path));
}

/** The sources with their types stripped, and the packages they need at run time. */
function checkout(): Record<string, GuestFile> {
  const root = join(import.meta.dirname, '../../../..');
  const home = join(root, 'packages/kpatch');
  const files: Record<string, GuestFile> = {
    [`${FOLDER}/packages/kpatch/package.json`]: { from: join(home, 'package.json') },
  };
  for (const path of pathsBelow(home)) {
    if (path.startsWith(join(home, 'test/'))) continue;
    const inside = join(FOLDER, path.slice(root.length));
    if (!path.endsWith('.ts')) files[inside] = { from: path };
    else files[inside.replace(/\.ts$/, '.js')] = withoutTypes(readFileSync(path, 'utf8'));
  }
  for (const folder of packagesOf(home, join(root, 'node_modules'))) {
    for (const path of pathsBelow(folder)) files[join(FOLDER, path.slice(root.length))] = { from: path };
  }
  return files;
}

/** Folders of the packages that the one in `home` needs at run time, and of those that they need. */
function packagesOf(home: string, modules: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [home];
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const { dependencies } = object(readJSON(join(folder, 'package.json')));
    for (const name of Object.keys(object(dependencies))) {
      // A package with another version than the rest of the program is inside of the one that needs it.
      const place = [join(folder, 'node_modules', name), join(modules, name)].find(existsSync);
      if (place === undefined || found.has(place)) continue;
      found.add(place);
      open.push(place);
    }
  }
  return found;
}

/** Modules name each other by path, in imports and in calls of `require`. */
function withoutTypes(source: string): string {
  return stripTypeScriptTypes(source).replace(/'(\.{1,2}\/[^'\n]*)\.ts'/g, "'$1.js'");
}

function pathsBelow(folder: string): string[] {
  return filesBelow(folder).map((name) => join(folder, name));
}
