/** Kernel modules for a guest: those that are asked for and what they depend on, from a `lib/modules/RELEASE` folder. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { fail } from '../errors/error.ts';
import { readBytes } from '../util/files.ts';
import { runOk } from '../util/run.ts';
import type { GuestFile } from './initramfs.ts';

export interface GuestModules {
  /** `.../lib/modules/RELEASE`, as the kernel's package has it. */
  readonly folder: string;
  /** Names of modules that the guest can `modprobe`, with what they need. */
  readonly available?: readonly string[];
  /** As `available`, but no error where this kernel does not have them. */
  readonly optional?: readonly string[];
  /** Names of modules that are loaded at boot, in this order. */
  readonly load?: readonly string[];
}

/**
 * The files for the guest: the modules (unpacked) and a `modules.dep` of just these, where `modprobe` looks for them.
 * Errors: `guest-module`, `file-unreadable`, `tool-failed` (a compressed module that cannot be unpacked).
 */
export async function moduleFiles(modules: GuestModules): Promise<Record<string, GuestFile>> {
  const folder = resolve(modules.folder);
  const wanted = [...(modules.load ?? []), ...(modules.available ?? [])];
  if (wanted.length === 0 && modules.optional === undefined) return {};
  const index = readIndex(folder);
  const inside = `lib/modules/${basename(folder)}`;
  const files: Record<string, GuestFile> = {};
  const closures = new Map<string, readonly string[]>();
  const lines: string[] = [];
  /** Adds a module; gives the paths of all that it needs, each after those that it needs itself, and its own last. */
  const add = async (name: string): Promise<readonly string[]> => {
    const key = canonical(name);
    const known = closures.get(key);
    if (known !== undefined) return known;
    const path = index.get(key);
    if (path === undefined) throw fail('guest-module', { module: name, folder }, { where: { file: folder } });
    closures.set(key, []);
    const bytes = await unpacked(existing(join(folder, path)));
    const needed: string[] = [];
    for (const other of dependencies(bytes)) needed.push(...(await add(other)));
    const all = [...new Set(needed), path];
    closures.set(key, all);
    files[`${inside}/${path}`] = bytes;
    // modules.dep(5) lists what is loaded first last.
    lines.push(`${path}: ${all.slice(0, -1).reverse().join(' ')}`);
    return all;
  };
  for (const name of modules.optional ?? []) if (index.has(canonical(name))) await add(name);
  for (const name of wanted) {
    if (!isBuiltIn(folder, name)) await add(name);
  }
  files[`${inside}/modules.dep`] = `${lines.join('\n')}\n`;
  return files;
}

/** A module's bytes, unpacked where the distribution compresses its modules. */
export async function unpacked(path: string): Promise<Uint8Array> {
  if (path.endsWith('.xz')) return (await runOk('xz', ['-dc', path])).stdout;
  if (path.endsWith('.gz')) return (await runOk('gzip', ['-dc', path])).stdout;
  if (path.endsWith('.zst')) return zstdDecompressSync(readBytes(path));
  return readBytes(path);
}

/** The names after `depends=` in a module's `.modinfo`, which is a list of strings that end with NUL. */
function dependencies(module: Uint8Array): string[] {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.length);
  const at = bytes.indexOf('\0depends=');
  if (at < 0) return [];
  const text = bytes.subarray(at + 9, bytes.indexOf(0, at + 9)).toString('latin1');
  return text.split(',').filter((name) => name !== '');
}

/**
 * Name → path of every module, from `modules.order`, which the package itself holds (`modules.dep` is only made when it
 * is installed). The paths there end with `.ko` also where the files are compressed (6.12: `.ko.xz`).
 */
function readIndex(folder: string): Map<string, string> {
  const index = new Map<string, string>();
  for (const line of readBytes(join(folder, 'modules.order')).toString('utf8').split('\n')) {
    const path = line.trim().replace(/\.(xz|zst|gz)$/, '');
    if (path.endsWith('.ko') && !path.split('/').includes('..')) index.set(moduleName(path), path);
  }
  return index;
}

function existing(path: string): string {
  return ['', '.xz', '.zst', '.gz'].map((end) => path + end).find((file) => existsSync(file)) ?? path;
}

function isBuiltIn(folder: string, name: string): boolean {
  try {
    const text = readFileSync(join(folder, 'modules.builtin'), 'utf8');
    return text.split('\n').some((path) => moduleName(path) === canonical(name));
  } catch {
    return false;
  }
}

/** The name of a module from its file: dashes are underscores in every name that the kernel shows. */
function moduleName(path: string): string {
  return canonical(basename(path).replace(/\.ko(\.(xz|zst|gz))?$/, ''));
}

function canonical(name: string): string {
  return name.replaceAll('-', '_');
}
