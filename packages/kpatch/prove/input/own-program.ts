/** This very program for a guest, so that there it installs and loads patches with the code that a host runs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { isSea } from 'node:sea';
import { fail } from '../../base/errors/error.ts';
import type { GuestFile } from '../../vm/initramfs.ts';

/** Where the program lies in the guest; `/bin/kpatch` starts it. */
const FOLDER = '/opt/kpatch';

/**
 * V8 writes no code at run time: emulated, what it would compile for so short a life costs more than it gains, and code that
 * changes under a running processor is what emulators are worst at.
 */
const interpreted = '--jitless';

/**
 * The files: the packaged executable, or Node with the sources of a checkout; the libraries that this process has loaded;
 * what kpatch calls and busybox does not have; and `/bin/kpatch`, which starts it. The guest needs no driver for any of it.
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

function pathOf(tool: string, inPackage: string): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/bin'];
  const path = folders.map((folder) => join(folder, tool)).find((file) => existsSync(file));
  if (path === undefined) throw fail('tool-missing', { tool, package: inPackage });
  return path;
}

/** Paths of the shared libraries and their loader, as this process has found them. */
function loadedLibraries(): string[] {
  // Names of network peers are not needed, and may take seconds (Node's own types do not know this setting yet).
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  report.excludeNetwork = true;
  const { sharedObjects = [] } = report.getReport() as { sharedObjects?: string[] };
  return sharedObjects.filter((path) => path.startsWith('/') && path !== process.execPath && existsSync(path));
}

/** The sources, their types taken off beforehand, and the packages that they depend on at run time. */
function checkout(): Record<string, GuestFile> {
  const root = join(import.meta.dirname, '../../../..');
  const home = join(root, 'packages/kpatch');
  const files: Record<string, GuestFile> = {
    [`${FOLDER}/packages/kpatch/package.json`]: { from: join(home, 'package.json') },
  };
  for (const path of filesBelow(home)) {
    if (path.startsWith(join(home, 'test/'))) continue;
    const inside = join(FOLDER, path.slice(root.length));
    if (!path.endsWith('.ts')) files[inside] = { from: path };
    else files[inside.replace(/\.ts$/, '.js')] = withoutTypes(readFileSync(path, 'utf8'));
  }
  const { dependencies = {} } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) {
    for (const path of filesBelow(join(root, 'node_modules', name)))
      files[join(FOLDER, path.slice(root.length))] = { from: path };
  }
  return files;
}

function withoutTypes(source: string): string {
  return stripTypeScriptTypes(source).replace(/\b((?:from|import)\s*\(?\s*'\.[^'\n]*)\.ts'/g, "$1.js'");
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
