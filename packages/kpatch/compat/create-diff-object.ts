/**
 * `create-diff-object`: a replacement for the program of that name in dynup/kpatch, for build scripts that call it. It has the
 * same seven arguments, environment variables for table entry sizes, exit statuses, and wording of changes.
 */
import { basename } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { renderError } from '../base/errors/render.ts';
import { readBytes, writeAtomically } from '../base/files.ts';
import { print, printError } from '../base/print.ts';
import { diff } from '../differ/diff.ts';
import { leftOutError } from '../differ/left-out-error.ts';
import type { DiffOptions, DiffResult, LeftOutChange } from '../differ/options.ts';
import { localsMatcher } from '../differ/parts/symbols/source-file.ts';
import { readSymbolTable } from '../differ/parts/symbols/symbol-table.ts';
import { SHF } from '../formats/elf/constants.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { modinfoOf } from '../formats/elf/modinfo.ts';
import { newSection } from '../formats/elf/object.ts';
import { parseSymvers } from '../kernel/symvers.ts';
import { intermediateObject } from './intermediate.ts';

/** 0 changed, 1 error, 2 the change cannot be live patched, 3 no change. */
const EXIT = { changed: 0, error: 1, fatal: 2, unchanged: 3 } as const;

/**
 * Environment variables in which build scripts pass structure sizes from the kernel's debug information.
 * PRINTK_INDEX_STRUCT_SIZE is not needed: it is the size of struct pi_entry, and `.printk_index` contains pointers.
 */
const sizeVariables: Readonly<Record<string, string>> = {
  ALT_STRUCT_SIZE: '.altinstructions',
  BUG_STRUCT_SIZE: '__bug_table',
  EX_STRUCT_SIZE: '__ex_table',
  FIXUP_STRUCT_SIZE: '__ftr_fixup',
  FTR_STRUCT_SIZE: '__ftr_fixup',
  JUMP_STRUCT_SIZE: '__jump_table',
  ORC_STRUCT_SIZE: '.orc_unwind',
  PARA_STRUCT_SIZE: '.parainstructions',
  STATIC_CALL_STRUCT_SIZE: '.static_call_sites',
};

/**
 * Changes that have no effect and that the original program refuses, also beside others. It does not look for functions that
 * are only gone.
 */
const refusedReasons: ReadonlySet<LeftOutChange['reason']> = new Set(['init', 'exit', 'module information']);

function refusedChanges({ leftOut, status }: DiffResult): LeftOutChange[] {
  const silent = (reason: LeftOutChange['reason']): boolean => reason === 'removed' || reason === 'overridden';
  return leftOut.filter(({ reason }) => refusedReasons.has(reason) || (status === 'left out' && !silent(reason)));
}

const flags = ['-d', '--debug', '-a', '--klp-arch'];

/** Build scripts pass `--klp-arch` for kernels in which livepatch has to be told which tables it applies (until 5.7). */
const BEFORE_5_8 = { major: 5, minor: 7 } as const;

const usage =
  'usage: create-diff-object original.o patched.o parent-name parent-symtab Module.symvers patch-mod-name output.o';

/** Runs the program and returns its exit status. */
export function createDiffObject(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): number {
  // Newer build scripts pass the architecture, which the object states as well.
  const words = argv.filter((word) => !flags.includes(word) && !/^--arch=\w+$/.test(word));
  const archTables = argv.includes('-a') || argv.includes('--klp-arch');
  if (words.length !== 7 || words.some((word) => word.startsWith('-'))) {
    printError(`${usage}\n`);
    return EXIT.error;
  }
  const name = basename(words[0]!);
  try {
    const result = run(words, environment, archTables);
    for (const line of linesOf(result)) print(`${name}: ${line}\n`);
    const refused = refusedChanges(result);
    if (refused.length > 0) throw leftOutError(refused, words[1]);
    if (result.status !== 'changed') return EXIT.unchanged;
    writeAtomically(words[6]!, withNamespaces(result, words[1]!, archTables));
    return EXIT.changed;
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    printError(`ERROR: ${name}: ${renderError(error)}\n`);
    return error.exit === 4 ? EXIT.fatal : EXIT.error;
  }
}

function run(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  archTables: boolean,
): DiffResult {
  const [original = '', patched = '', parent = '', symtab = '', symversFile = ''] = words;
  const before = readBytes(original);
  const symbols = readSymbolTable(readBytes(symtab), symtab);
  const symvers = parseSymvers(readBytes(symversFile).toString('latin1'), symversFile);
  const options: DiffOptions = {
    names: { original, patched },
    object: parent.replaceAll('-', '_'),
    kernel: archTables ? { ...kernelOf(environment), ...BEFORE_5_8 } : kernelOf(environment),
    exported: (symbol) => {
      const line = symvers.get(symbol);
      if (line === undefined) return undefined;
      const { module, exportType, namespace } = line;
      const gpl = exportType.includes('GPL');
      return namespace === undefined ? { module, gpl } : { module, gpl, namespace };
    },
    symbols,
    resolve: localsMatcher(before, original, symbols),
    entrySizes: sizesOf(environment),
  };
  return diff(before, readBytes(patched), options);
}

/**
 * The intermediate object with the symbol namespaces that the module must import: those named in the source, and those of
 * the exports that the patch uses. modpost reads them from `.modinfo` (MODULE_IMPORT_NS).
 */
function withNamespaces(result: DiffResult, patched: string, archTables: boolean): Uint8Array {
  const said = modinfoOf(new ElfFile(readBytes(patched), patched)).filter(({ key }) => /(?:^|\.)import_ns$/.test(key));
  const names = [...new Set([...said.map(({ value }) => value), ...result.namespaces])].sort();
  const patch = result.patch();
  if (names.length === 0) return intermediateObject(patch, archTables);
  const data = Buffer.from(names.map((name) => `import_ns=${name}\0`).join(''));
  patch.elf.sections.push(newSection({ name: '.modinfo', flags: SHF.ALLOC, data: new Uint8Array(data) }));
  return intermediateObject(patch, archTables);
}

/** The kernel version is used only if no size is given and the entries do not show it. */
function kernelOf(environment: Readonly<Record<string, string | undefined>>): DiffOptions['kernel'] {
  const version = /^(\d+)\.(\d+)/.exec(environment.KPATCH_KERNEL_VERSION ?? environment.KERNELRELEASE ?? '6.1');
  const flag = (name: string): boolean | undefined => {
    const value = environment[`CONFIG_${name}`];
    return value === undefined || value === '' ? undefined : value !== '0' && value !== 'n';
  };
  return { major: Number(version?.[1] ?? 6), minor: Number(version?.[2] ?? 1), config: flag };
}

function sizesOf(environment: Readonly<Record<string, string | undefined>>): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const [variable, section] of Object.entries(sizeVariables)) {
    const text = environment[variable];
    if (text === undefined || text === '') continue;
    const size = Number(text);
    if (!Number.isInteger(size) || size <= 0)
      throw failure('usage', { problem: `${variable}=${text} is not a size in bytes` });
    sizes[section] = size;
  }
  return sizes;
}

function linesOf(result: DiffResult): string[] {
  const lines = result.functions.map(({ kind, name }) => `${kind} function: ${name}`);
  return [...lines, ...result.notes.map((note) => `note: ${note}`)];
}

if (import.meta.main) process.exitCode = createDiffObject(process.argv.slice(2), process.env);
