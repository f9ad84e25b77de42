/** Compares the compiled pairs of a build: one difference for each changed unit and object. */

import { fail } from '../base/errors/error.ts';
import { diff } from '../differ/diff.ts';
import type { DiffOptions, DiffResult, LeftOutChange } from '../differ/options.ts';
import { ElfFile } from '../formats/elf/file.ts';
import type { Unit } from '../kbuild/unit.ts';
import type { RunningCode } from '../kernel/running-code.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { runningCode } from '../runpre/module-code.ts';
import type { CompiledPair } from './pairs.ts';
import { describeMismatch, RunPre } from './run-pre.ts';

export interface Difference {
  readonly unit: Unit;
  /** `vmlinux` or a module. */
  readonly object: string;
  readonly result: DiffResult;
  /** The run-pre match of the unpatched unit. */
  readonly runPre: RunPre;
}

/** Compares pairs as they become available. */
export class PairComparison {
  /** In the order of the pairs. A pair may have no difference; a unit of several modules can have one for each module. */
  readonly differences: Difference[] = [];
  /** Changes of all pairs that have no effect in a running kernel, and notes. */
  readonly leftOut: LeftOutChange[] = [];
  readonly notes: string[] = [];
  readonly #facts: KernelFacts;
  readonly #options: Pick<DiffOptions, 'keepLineChanges' | 'acceptLayouts' | 'leaveOutInit'>;
  readonly #codes = new Map<string, RunningCode>();
  readonly #seen = new Set<CompiledPair>();

  constructor(facts: KernelFacts, options: Pick<DiffOptions, 'keepLineChanges' | 'acceptLayouts' | 'leaveOutInit'>) {
    this.#facts = facts;
    this.#options = options;
  }

  /** Compares the pairs that it has not compared yet. Errors: those of the differ. */
  async add(pairs: readonly CompiledPair[]): Promise<void> {
    for (const pair of pairs) {
      if (this.#seen.has(pair)) continue;
      this.#seen.add(pair);
      if (Buffer.compare(pair.original.bytes, pair.patched.bytes) === 0) continue;
      for (const { object } of pair.unit.owners) await this.#compare(pair, object);
    }
  }

  async #compare({ unit, original, patched }: CompiledPair, object: string): Promise<void> {
    const facts = this.#facts;
    const code = this.#codes.get(object) ?? (await runningCode(facts, object));
    this.#codes.set(object, code);
    const rules = await facts.rules();
    const runPre = new RunPre(original.bytes, unit.object, code, rules);
    if (unit.added === true && this.#options.leaveOutInit !== true) refuseInit(patched.bytes, unit, object);
    const result = diff(original.bytes, patched.bytes, {
      names: { original: `${unit.object} (original)`, patched: `${unit.object} (patched)` },
      object,
      kernel: rules,
      exported: (name) => exportOf(facts, name),
      symbols: await facts.symbolsOf(object),
      ...(object === 'vmlinux' ? {} : { kernelSymbols: await facts.symbolsOf('vmlinux') }),
      resolve: ({ name }) => runPre.position(name),
      ...this.#options,
    });
    this.leftOut.push(...result.leftOut);
    this.notes.push(...result.notes);
    if (result.status === 'changed') this.differences.push({ unit, object, result, runPre });
  }
}

/** Nothing calls the initialisation code of a new file in a running kernel. Error: `diff-init-changed`. */
export function refuseInit(bytes: Uint8Array, { object: file }: Unit, object: string): void {
  const elf = new ElfFile(bytes, file);
  const section = elf.sections.find(({ name }) => /^\.(?:con_|security_)?initcall|^\.init\.text|^__param$/.test(name));
  if (section === undefined) return;
  const name = `the initialisation code in the new file ${file.replace(/\.o$/, '.c')}`;
  throw fail('diff-init-changed', { name, section: section.name, object }, { where: { file, section: section.name } });
}

function exportOf(facts: KernelFacts, name: string): ReturnType<DiffOptions['exported']> {
  const found = facts.symvers.get(name);
  if (found === undefined) return undefined;
  const { module, exportType, namespace } = found;
  return { module, gpl: exportType.endsWith('_GPL'), ...(namespace === undefined ? {} : { namespace }) };
}

/**
 * Requires that every replaced function matches the code of the target.
 * Error: `run-pre-mismatch` with the first difference of each function.
 */
export function requireRunPre(differences: readonly Difference[], release: string): void {
  const wrong = differences.flatMap(({ result, runPre, object }) =>
    result.functions
      .filter(({ kind, name }) => kind === 'changed' && runPre.result(name)?.matched !== true)
      .map(({ name }) => ({ name, line: `${object}: ${describeMismatch(runPre.result(name), name)}` })),
  );
  if (wrong.length === 0) return;
  const functions = wrong.map(({ name }) => name).join(', ');
  const detail = wrong.map(({ line }) => line).join('\n');
  throw fail('run-pre-mismatch', { count: wrong.length, release, functions }, { detail });
}
