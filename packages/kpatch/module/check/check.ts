/**
 * The final check of a livepatch module: would the target kernel accept it, and does it match its manifest? It checks
 * everything that the module loader and the livepatch core check when the module is loaded.
 */

import { failure, type KpatchError } from '../../base/errors/error.ts';
import { SHF, SHT } from '../../formats/elf/constants.ts';
import type { ElfFile } from '../../formats/elf/file.ts';
import { modinfoOf, modinfoValue } from '../../formats/elf/modinfo.ts';
import type { ElfObject } from '../../formats/elf/object.ts';
import { architectureOf } from '../../platform/registry.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { ModuleContent } from '../content.ts';
import { SHF_RELA_LIVEPATCH, SHN_LIVEPATCH } from '../make/klp.ts';
import { hasCallbacks, replacedFunctions } from '../tables.ts';
import { checkExports, checkLivepatchNames, neededSymbols } from './check-symbols.ts';
import type { CheckTarget } from './target.ts';

/** Counts of the checked items; all were correct. */
export interface ModuleReport {
  /** Of the file. */
  readonly bytes: number;
  /** Bytes of code and of data in the kernel's memory, without padding and what is freed after loading. */
  readonly code: number;
  readonly data: number;
  readonly exportedSymbols: number;
  readonly livepatchSymbols: number;
  readonly functions: number;
  readonly vermagic: string;
  readonly namespaces: readonly string[];
  /** Modules that must be loaded before it. */
  readonly depends: readonly string[];
}

/**
 * Checks the bytes of a module against its target. `vermagic` is that of the kernel's own modules, where it is known.
 * Errors: the first problem, with the others in its detail (`module-*` of the catalogue); those of reading ELF.
 */
export async function checkModule(
  bytes: Uint8Array,
  file: string,
  target: CheckTarget,
  vermagic?: string,
): Promise<ModuleReport> {
  const content = new ModuleContent(bytes, file);
  const { elf, object: module, name = file } = content;
  const namespaces = content.modinfo.filter(({ key }) => key === 'import_ns').map(({ value }) => value);
  const found = content.vermagic?.trim() ?? '';
  const problems = [
    ...checkWhole(content, module, name),
    ...checkTarget(content, name, found, target, vermagic),
    ...checkSections(elf, module, name),
    ...checkExports(elf, name, new Set(namespaces), target),
    ...(await checkLivepatchNames(elf, module, name, target)),
  ];
  throwFirst(problems);
  const memory = memoryOf(elf);
  const symbols = elf.symbols();
  return {
    bytes: bytes.length,
    ...memory,
    exportedSymbols: neededSymbols(symbols).length,
    livepatchSymbols: symbols.filter(({ shndx }) => shndx === SHN_LIVEPATCH).length,
    functions: replacedFunctions(module)?.length ?? 0,
    vermagic: found,
    namespaces,
    depends: (modinfoValue(content.modinfo, 'depends') ?? '').split(',').filter((depend) => depend !== ''),
  };
}

/** The vermagic of the kernel's own modules, which is the kernel's; undefined if it has none at hand. */
export async function kernelVermagic(facts: Pick<KernelFacts, 'modules' | 'moduleFile'>): Promise<string | undefined> {
  const [first] = facts.modules.names.sort();
  if (first === undefined) return undefined;
  return modinfoValue(modinfoOf(await facts.moduleFile(first)), 'vermagic')?.trim();
}

function throwFirst(problems: readonly KpatchError[]): void {
  const [first, ...others] = problems;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const detail = ['also:', ...others.map(({ message }) => message)].join('\n');
  throw Object.defineProperty(first, 'detail', { value: detail });
}

/** The parts that every livepatch module has. */
function checkWhole(content: ModuleContent, module: ElfObject, name: string): KpatchError[] {
  const { elf, livepatch, manifest } = content;
  const problems: string[] = [];
  const defined = new Set(module.symbols.filter(({ section }) => typeof section === 'object').map((one) => one.name));
  for (const symbol of ['init_module', 'cleanup_module', '__this_module']) {
    if (!defined.has(symbol)) problems.push(`it does not define ${symbol}`);
  }
  if (elf.section('.gnu.linkonce.this_module') === undefined) problems.push('it has no .gnu.linkonce.this_module');
  if (!livepatch) problems.push('it is not marked as a livepatch module');
  if (manifest === undefined) problems.push('it has no manifest');
  const tables = replacedFunctions(module);
  if ((tables === undefined || tables.length === 0) && !hasCallbacks(module))
    problems.push('it replaces no function and has no callbacks');
  const left = elf.sections.find((section) =>
    /^\.kpatch\.(symbols|relocations|callbacks|strings|places)/.test(section.name),
  );
  if (left !== undefined) problems.push(`it still contains the intermediate section ${left.name}`);
  return problems.map((problem) => failure('module-incomplete', { name, problem }, { where: { file: elf.file } }));
}

/** The kernel that it is for. */
function checkTarget(
  { elf, manifest, modinfo }: ModuleContent,
  name: string,
  found: string,
  { kernel }: CheckTarget,
  vermagic: string | undefined,
): KpatchError[] {
  const { release, buildId } = kernel;
  const problems: KpatchError[] = [];
  const where = { where: { file: elf.file } };
  const fits = vermagic === undefined ? found.split(' ')[0] === release : found === vermagic;
  if (!fits) problems.push(failure('module-vermagic', { name, found, release, wanted: vermagic ?? release }, where));
  const named = [manifest?.buildId, modinfoValue(modinfo, 'kpatch_build_id')];
  const other = named.find((one) => one !== buildId);
  if (named.some((one) => one !== buildId)) {
    const params = { name, found: other ?? 'none', wanted: buildId ?? 'none', release };
    problems.push(failure('module-build-id', params, where));
  }
  return problems;
}

/** Sections that the loader would refuse or could not relocate. */
function checkSections(elf: ElfFile, module: ElfObject, name: string): KpatchError[] {
  const problems: KpatchError[] = [];
  const both = SHF.WRITE | SHF.EXECINSTR;
  const types = architectureOf(elf).loader?.relocations;
  for (const section of module.sections) {
    const where = { where: { file: elf.file, section: section.name } };
    if ((section.flags & both) === both) {
      problems.push(failure('module-section-writable-code', { name, section: section.name }, where));
    }
    const livepatch = section.type === SHT.RELA && (section.flags & SHF_RELA_LIVEPATCH) !== 0;
    if (livepatch && !/^\.klp\.rela\.[^.]{1,55}\../.test(section.name)) {
      problems.push(failure('module-klp-name', { name, symbol: section.name }, where));
    }
    if (!livepatch && (section.flags & SHF.ALLOC) === 0) continue;
    const unknown = types === undefined ? undefined : section.relocations.find(({ type }) => !types.has(type));
    if (unknown === undefined) continue;
    problems.push(failure('module-relocation-unknown', { name, section: section.name, type: unknown.type }, where));
  }
  return problems;
}

function memoryOf(elf: ElfFile): { code: number; data: number } {
  const kept = elf.sections.filter(({ flags, name }) => (flags & SHF.ALLOC) !== 0 && !name.startsWith('.init'));
  const sum = (code: boolean): number =>
    kept.filter(({ flags }) => ((flags & SHF.EXECINSTR) !== 0) === code).reduce((total, { size }) => total + size, 0);
  return { code: sum(true), data: sum(false) };
}
