/** Checks of what a module needs from the kernel by name: exported symbols with their versions, livepatch symbols, functions. */

import { failure, type KpatchError } from '../../base/errors/error.ts';
import { SHN, STB, STT } from '../../formats/elf/constants.ts';
import type { ElfFile, RawSymbol } from '../../formats/elf/file.ts';
import type { ElfObject } from '../../formats/elf/object.ts';
import { architectureOf } from '../../platform/registry.ts';
import type { ObjectSymbol } from '../../prepare/facts.ts';
import { replacedFunctions } from '../tables.ts';
import type { CheckTarget } from './target.ts';

/** The CRCs by symbol that a module was built with: `__versions`, or the extended form of Linux 6.14 (commit 54ac1ac8edeb). */
export function symbolVersions(elf: ElfFile): Map<string, number> {
  const versions = new Map<string, number>();
  const plain = elf.section('__versions');
  if (plain !== undefined) {
    // struct modversion_info: unsigned long crc, char name[56] (include/linux/module.h).
    const data = elf.data(plain);
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    for (let at = 0; at + 64 <= data.length; at += 64) {
      versions.set(textAt(data, at + 8, 56), view.getUint32(at + (elf.littleEndian ? 0 : 4), elf.littleEndian));
    }
  }
  const crcs = elf.section('__version_ext_crcs');
  const names = elf.section('__version_ext_names');
  if (crcs !== undefined && names !== undefined) {
    const data = elf.data(crcs);
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const list = Buffer.from(elf.data(names)).toString('latin1').split('\0');
    for (let at = 0; at + 4 <= data.length; at += 4) {
      const name = list[at / 4];
      if (name !== undefined && name !== '') versions.set(name, view.getUint32(at, elf.littleEndian));
    }
  }
  return versions;
}

function textAt(data: Uint8Array, at: number, width: number): string {
  const end = data.subarray(at, at + width).indexOf(0);
  return Buffer.from(data.subarray(at, at + (end < 0 ? width : end))).toString('latin1');
}

/** The undefined symbols of a module that the kernel has to provide; weak ones may stay undefined. */
export function neededSymbols(symbols: readonly RawSymbol[]): RawSymbol[] {
  return symbols.filter(({ shndx, name, bind }) => shndx === SHN.UNDEF && name !== '' && bind !== STB.WEAK);
}

/** Each exported symbol that is needed exists, is importable, and has the version that the module was built with. */
export function checkExports(
  elf: ElfFile,
  name: string,
  imported: ReadonlySet<string>,
  target: CheckTarget,
): KpatchError[] {
  const { release } = target.kernel;
  const versions = symbolVersions(elf);
  const checked = target.config.has('MODVERSIONS');
  const problems: KpatchError[] = [];
  const { isLinkerSymbol } = architectureOf(elf);
  // The module loader itself knows where such symbols are (`.TOC.`, arch/powerpc/kernel/module_64.c).
  const needed = neededSymbols(elf.symbols())
    .map((symbol) => symbol.name)
    .filter((symbol) => isLinkerSymbol?.(symbol) !== true);
  for (const symbol of [...needed, ...(checked ? ['module_layout'] : [])]) {
    const where = { where: { file: elf.file, symbol } };
    const exported = target.symvers.get(symbol);
    if (exported === undefined) {
      problems.push(failure('module-symbol-unresolved', { name, symbol, release }, where));
      continue;
    }
    const { namespace } = exported;
    if (namespace !== undefined && !imported.has(namespace)) {
      problems.push(failure('module-namespace', { name, symbol, namespace }, where));
    }
    if (!checked) continue;
    const version = versions.get(symbol);
    // The kernel does not look where the export has no CRC (check_version in kernel/module/version.c).
    if (version === exported.crc || (version === undefined && exported.crc === 0)) continue;
    const found = version === undefined ? 'no version' : hex(version);
    problems.push(failure('module-symbol-version', { name, symbol, found, wanted: hex(exported.crc), release }, where));
  }
  return problems;
}

const hex = (crc: number): string => `0x${crc.toString(16).padStart(8, '0')}`;

/** Symbols of an object by name, as livepatch finds them. */
class Lookup {
  readonly #target: CheckTarget;
  readonly #objects = new Map<string, Promise<Map<string, ObjectSymbol[]>>>();

  constructor(target: CheckTarget) {
    this.#target = target;
  }

  /** What is wrong with looking up the name at the position, or undefined; `kind` is what it should be, where known. */
  async problem(
    object: string,
    name: string,
    sympos: number,
    kind: ObjectSymbol['kind'] | undefined,
  ): Promise<string | undefined> {
    const table = await this.#table(object);
    const found = table.get(name) ?? [];
    // The rules of klp_find_object_symbol (kernel/livepatch/core.c).
    if (found.length === 0) return 'there is no symbol of that name';
    if (sympos === 0 && found.length > 1) return `there are ${found.length} of that name, and no position is given`;
    if (sympos > found.length) return `there are only ${found.length} of that name`;
    const symbol = found[Math.max(0, sympos - 1)]!;
    const plain = kind === undefined || kind === 'other' || symbol.kind === 'other' || symbol.kind === kind;
    return plain ? undefined : `it is ${symbol.kind === 'function' ? 'a function' : 'data'} in the kernel`;
  }

  #table(object: string): Promise<Map<string, ObjectSymbol[]>> {
    const known = this.#objects.get(object) ?? this.#read(object);
    this.#objects.set(object, known);
    return known;
  }

  async #read(object: string): Promise<Map<string, ObjectSymbol[]>> {
    const table = new Map<string, ObjectSymbol[]>();
    for (const symbol of await this.#target.symbolsOf(object)) {
      const list = table.get(symbol.name);
      if (list === undefined) table.set(symbol.name, [symbol]);
      else list.push(symbol);
    }
    return table;
  }
}

const kinds: Readonly<Record<number, ObjectSymbol['kind']>> = { [STT.FUNC]: 'function', [STT.OBJECT]: 'object' };

/** Each livepatch symbol and each function that is replaced is found where the module says that it is. */
export async function checkLivepatchNames(
  elf: ElfFile,
  module: ElfObject,
  name: string,
  target: CheckTarget,
): Promise<KpatchError[]> {
  const lookup = new Lookup(target);
  const problems: KpatchError[] = [];
  for (const { name: symbol, shndx, type } of elf.symbols()) {
    if (shndx !== SHN.LIVEPATCH) continue;
    const where = { where: { file: elf.file, symbol } };
    const parts = /^\.klp\.sym\.([^.]{1,55})\.([^,]+),(\d{1,9})$/.exec(symbol);
    if (parts === null) {
      problems.push(failure('module-klp-name', { name, symbol }, where));
      continue;
    }
    const [, object = '', plain = '', position = '0'] = parts;
    const problem = await lookup.problem(object, plain, Number(position), kinds[type]);
    if (problem === undefined) continue;
    problems.push(failure('module-klp-symbol', { name, symbol: plain, sympos: position, object, problem }, where));
  }
  for (const { name: replaced, object, sympos } of replacedFunctions(module) ?? []) {
    const problem = await lookup.problem(object, replaced, sympos, 'function');
    if (problem === undefined) continue;
    const where = { file: elf.file, object, function: replaced };
    problems.push(failure('module-klp-function', { name, function: replaced, sympos, object, problem }, { where }));
  }
  return problems;
}
