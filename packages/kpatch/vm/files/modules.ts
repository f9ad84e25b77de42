/**
 * Kernel modules for a guest: those that are asked for and what they need, from a `lib/modules/RELEASE` folder. What a
 * module needs are the modules that it links to (`depends`) and those that it says it will ask for (`softdep`, which may be
 * an alias).
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { runOk } from '../../base/run.ts';
import { ElfFile } from '../../formats/elf/file.ts';
import { type ModinfoField, modinfoOf } from '../../formats/elf/modinfo.ts';
import type { GuestFile } from './initramfs.ts';

/** No module unpacks to more (bytes). */
const LIMIT = 256 << 20;

export interface GuestModules {
  /** `.../lib/modules/RELEASE`, as the kernel's package has it. */
  readonly folder: string;
  /** Names of modules that the guest can `modprobe`, with what they need. */
  readonly available?: readonly string[];
  /** Like `available`, but no error where this kernel does not have them. */
  readonly optional?: readonly string[];
  /** Names of modules that are loaded at boot, in this order. */
  readonly load?: readonly string[];
}

/**
 * The files for the guest: the modules (unpacked), and a `modules.dep` and `modules.alias` of just these, where `modprobe`
 * looks.
 * Errors: `guest-module`, `file-unreadable`, `tool-failed` (a compressed module that cannot be unpacked).
 */
export async function moduleFiles(modules: GuestModules): Promise<Record<string, GuestFile>> {
  const folder = resolve(modules.folder);
  const wanted = [...(modules.load ?? []), ...(modules.available ?? [])];
  if (wanted.length === 0 && modules.optional === undefined) return {};
  const index = readIndex(folder);
  const builtIn = readBuiltIn(folder);
  const inside = `lib/modules/${basename(folder)}`;
  const files: Record<string, GuestFile> = {};
  const closures = new Map<string, readonly string[]>();
  const lines: string[] = [];
  const aliases: string[] = [];
  /** Adds a module; gives the paths of all that it needs, each after those that it needs itself, and its own last. */
  const add = async (name: string): Promise<readonly string[]> => {
    const key = canonical(name);
    const known = closures.get(key);
    if (known !== undefined) return known;
    const path = index.get(key);
    if (path === undefined) throw failure('guest-module', { module: name, folder }, { where: { file: folder } });
    closures.set(key, []);
    const bytes = await unpacked(existing(join(folder, path)));
    const needed: string[] = [];
    const info = modinfoOf(new ElfFile(bytes, path));
    for (const other of listed(info, 'depends', ',')) needed.push(...(await add(other)));
    for (const alias of values(info, 'alias')) aliases.push(`alias ${alias} ${key}`);
    for (const other of listed(info, 'softdep', ' ')) {
      if (builtIn.has(canonical(other))) continue;
      const providers = index.has(canonical(other)) ? [other] : await providersOf(other, folder, index);
      for (const provider of providers) await add(provider);
    }
    const all = [...new Set(needed), path];
    closures.set(key, all);
    files[`${inside}/${path}`] = bytes;
    // modules.dep(5) lists what is loaded first last.
    lines.push(`${path}: ${all.slice(0, -1).reverse().join(' ')}`);
    return all;
  };
  for (const name of modules.optional ?? []) if (index.has(canonical(name))) await add(name);
  for (const name of wanted) {
    if (!builtIn.has(canonical(name))) await add(name);
  }
  files[`${inside}/modules.dep`] = `${lines.join('\n')}\n`;
  files[`${inside}/modules.alias`] = `${aliases.join('\n')}\n`;
  return files;
}

/** A module's bytes, unpacked where the distribution compresses its modules. */
export async function unpacked(path: string): Promise<Uint8Array> {
  if (path.endsWith('.xz')) return (await runOk('xz', ['-dc', path], { maxOutput: LIMIT })).stdout;
  if (path.endsWith('.gz')) return (await runOk('gzip', ['-dc', path], { maxOutput: LIMIT })).stdout;
  if (path.endsWith('.zst')) return zstdDecompressSync(readBytes(path));
  return readBytes(path);
}

const values = (info: readonly ModinfoField[], key: string): string[] =>
  info.flatMap((field) => (field.key === key ? [field.value] : []));

/** The names in all values of a key; of a softdep without its words `pre:` and `post:` (modprobe.d(5)). */
function listed(info: readonly ModinfoField[], key: string, separator: string): string[] {
  const names = values(info, key).flatMap((value) => value.split(separator));
  return names.filter((name) => name !== '' && !name.endsWith(':'));
}

/** Where the modules are that are asked for by an algorithm's name: `crc32c` is an alias of crc32c_generic. */
const ALGORITHMS = /^kernel\/(crypto|lib)\//;

const algorithms = new Map<string, Promise<ReadonlyMap<string, readonly string[]>>>();

/** The modules that have a name as their alias. Read once for a folder: they must be unpacked for it. */
async function providersOf(
  alias: string,
  folder: string,
  index: ReadonlyMap<string, string>,
): Promise<readonly string[]> {
  const known = algorithms.get(folder) ?? readAlgorithms(folder, index);
  algorithms.set(folder, known);
  return (await known).get(alias) ?? [];
}

async function readAlgorithms(
  folder: string,
  index: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const providers = new Map<string, string[]>();
  for (const [name, path] of index) {
    if (!ALGORITHMS.test(path)) continue;
    const info = modinfoOf(new ElfFile(await unpacked(existing(join(folder, path))), path));
    for (const alias of values(info, 'alias')) providers.set(alias, [...(providers.get(alias) ?? []), name]);
  }
  return providers;
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

/** The names of what could be a module and is in vmlinux; empty if the folder does not say. */
function readBuiltIn(folder: string): ReadonlySet<string> {
  try {
    return new Set(readFileSync(join(folder, 'modules.builtin'), 'utf8').split('\n').map(moduleName));
  } catch {
    return new Set();
  }
}

/** The name of a module from its file: dashes are underscores in every name that the kernel shows. */
function moduleName(path: string): string {
  return canonical(basename(path).replace(/\.ko(\.(xz|zst|gz))?$/, ''));
}

function canonical(name: string): string {
  return name.replaceAll('-', '_');
}
