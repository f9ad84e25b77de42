/** `kpatch diff`: shows what changed between two object files, and why. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import { intermediateObject } from '../../compat/intermediate.ts';
import { diff } from '../../differ/diff.ts';
import { explain, renderExplanation } from '../../differ/explain.ts';
import { leftOutError } from '../../differ/left-out-error.ts';
import type { ChangedFunction, DiffOptions, DiffResult } from '../../differ/options.ts';
import { assumedSymbols, readSymbolTable } from '../../differ/parts/symbols/symbol-table.ts';
import { readObject } from '../../formats/elf/read-object.ts';
import { parseSymvers } from '../../kernel/symvers.ts';
import { has } from '../../platform/kernel-rules.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { shellWord } from '../shell-word.ts';

interface Options {
  readonly object: string;
  readonly symvers?: string;
  readonly symtab?: string;
  readonly output?: string;
  readonly explain?: string;
  readonly kernel: string;
  readonly keepLineChanges?: boolean;
  readonly leaveOutInit?: boolean;
}

export function register(program: Command): void {
  program
    .command('diff <ORIGINAL.o> <PATCHED.o>')
    .description('show what changed between two object files and what a live patch must include')
    .option('--object <NAME>', 'object that the files belong to: vmlinux or a module', 'vmlinux')
    .option('--symvers <FILE>', 'Module.symvers of the kernel')
    .option('--symtab <FILE>', 'symbols of that object: output of readelf -sW, kallsyms, or an ELF file')
    .option('--kernel <VERSION>', 'kernel version, which determines the layout of its tables', '6.1')
    .option('-o, --output <FILE>', 'write the intermediate object')
    .option('--explain <FUNCTION>', 'show both versions of a function side by side')
    .option('--keep-line-changes', 'treat shifted source lines as changes')
    .option('--leave-out-init', 'skip changed init and exit code of a module, with a note')
    .option('--json', 'print JSON')
    .action(action(run));
}

function run({ report }: Context, options: Options, original: string, patched: string): Outcome {
  const [before, after] = [readBytes(original), readBytes(patched)];
  const diffOptions = diffOptionsOf(options, original, patched, before, (text) => report.warn(text));
  if (options.explain !== undefined) {
    const explanation = explain(before, after, diffOptions, options.explain);
    const text = renderExplanation(explanation, process.stdout.columns);
    return { schema: 'kpatch.explain/1', data: explanation, text };
  }
  const result = diff(before, after, diffOptions);
  if (options.output !== undefined && result.status === 'changed') {
    const archTables = !has(diffOptions.kernel, 'earlyRelocations');
    writeAtomically(options.output, intermediateObject(result.patch(), archTables));
  }
  const { patch, status, ...rest } = result;
  void patch;
  if (status === 'left out') throw leftOutError(result.leftOut, patched);
  const data = { status, ...rest };
  const first = result.functions.find(({ kind }) => kind === 'changed');
  const words = process.argv.slice(2).map(shellWord).join(' ');
  const next =
    first === undefined
      ? []
      : [
          {
            run: `kpatch ${words} --explain ${shellWord(first.name)}`,
            what: 'both versions, instruction by instruction',
          },
        ];
  return { exit: status === 'changed' ? 0 : 3, schema: 'kpatch.diff/1', data, text: render(result), next };
}

function diffOptionsOf(
  options: Options,
  original: string,
  patched: string,
  before: Uint8Array,
  warn: (text: string) => void,
): DiffOptions {
  const version = /^(\d+)\.(\d+)/.exec(options.kernel);
  if (version === null) throw failure('usage', { problem: `--kernel ${options.kernel} is not a kernel version` });
  const { symvers: symversFile, symtab } = options;
  const symvers =
    symversFile === undefined ? undefined : parseSymvers(readBytes(symversFile).toString('latin1'), symversFile);
  if (symtab === undefined) warn('no --symtab given: assuming that each symbol name is unique in the kernel');
  const symbols =
    symtab === undefined ? assumedSymbols(readObject(before, original)) : readSymbolTable(readBytes(symtab), symtab);
  return {
    names: { original, patched },
    object: options.object.replaceAll('-', '_'),
    kernel: { major: Number(version[1]), minor: Number(version[2]), config: () => undefined },
    exported: (name) => {
      const line = symvers?.get(name);
      if (line === undefined) return undefined;
      const { module, exportType, namespace } = line;
      const gpl = exportType.includes('GPL');
      return namespace === undefined || namespace === '' ? { module, gpl } : { module, gpl, namespace };
    },
    symbols,
    keepLineChanges: options.keepLineChanges === true,
    leaveOutInit: options.leaveOutInit === true,
  };
}

function render(result: DiffResult): string {
  if (result.status === 'unchanged') return ['no functional change', ...noteLines(result)].join('\n');
  const lines = result.functions.flatMap(functionLines);
  if (result.travelling.length > 0) lines.push('', 'included with them:');
  for (const { kind, name, size, reason } of result.travelling)
    lines.push(`  ${kind} ${name} (${size} bytes): ${reason}`);
  const outside = result.references.filter(({ exported }) => !exported);
  if (outside.length > 0) lines.push('', 'resolved in the kernel by livepatch relocations:');
  for (const { name, object, sympos } of outside) {
    if (object !== undefined)
      lines.push(`  ${name} of ${object}${sympos === 0 ? '' : `, position ${sympos} of that name`}`);
  }
  if (result.unresolved.length > 0) lines.push('', `defined in other objects: ${result.unresolved.join(', ')}`);
  return [...lines, ...noteLines(result)].join('\n');
}

function functionLines({ kind, name, patchedName, reasons }: ChangedFunction): string[] {
  const other = patchedName === name ? '' : ` (now ${patchedName})`;
  return [`${kind} function: ${name}${other}`, ...reasons.map(({ text }) => `  ${text}`)];
}

function noteLines({ notes }: DiffResult): string[] {
  return notes.length === 0 ? [] : ['', ...notes.map((note) => `note: ${note}`)];
}
