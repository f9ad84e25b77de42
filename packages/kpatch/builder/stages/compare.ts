/** Compares the compiled pairs: one difference for each changed unit and object. Each object is parsed once, here. */
import { failure } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import { diff } from '../../differ/diff.ts';
import type { DiffOptions, DiffResult, LeftOutChange } from '../../differ/options.ts';
import type { ElfFile } from '../../formats/elf/file.ts';
import { ObjectFile } from '../../formats/elf/object-file.ts';
import { readObject } from '../../formats/elf/read-object.ts';
import type { Unit } from '../../kbuild/unit.ts';
import type { RunningCode } from '../../kernel/running-code.ts';
import type { KernelRules } from '../../platform/kernel-rules.ts';
import { architectureOf } from '../../platform/registry.ts';
import type { KernelFacts } from '../../prepare/facts.ts';
import { runningCode } from '../../run-pre/module-code.ts';
import { type CompiledPair, emptyObject, vendorUnit } from '../pairs.ts';
import { nothingChanged } from '../planning/irrelevance.ts';
import type { LeftOut } from '../planning/plan.ts';
import { requireResolved } from '../rules/definitions.ts';
import { type DeclaredStates, declaredStates } from '../rules/states.ts';
import { RunPre } from '../run-pre.ts';
import type { CompilePlan } from './compile/workshop.ts';
import type { Target } from './target.ts';

/** What the differ found between both versions of a unit. */
export interface UnitDifference {
  readonly unit: Unit;
  /** `vmlinux` or a module. */
  readonly object: string;
  readonly result: DiffResult;
  /** The unpatched unit. */
  readonly original: ObjectFile;
  /** The run-pre match of the unpatched unit. */
  readonly runPre: RunPre;
}

/** All differences of a build; at least one has an effect. */
export interface Compared {
  /** In the order of the pairs. A pair may have no difference; a unit of several modules can have one for each module. */
  readonly differences: readonly UnitDifference[];
  readonly notes: readonly string[];
  /** The system states that the changed units declare. */
  readonly states: readonly DeclaredStates[];
  /** See `CompilePlan.elsewhere`. */
  readonly elsewhere: readonly LeftOut[];
}

type Settings = Pick<DiffOptions, 'keepLineChanges' | 'acceptLayouts' | 'leaveOutInit'>;

/** Compares pairs as they become available. */
export class PairComparison {
  readonly differences: UnitDifference[] = [];
  /** Changes of all pairs that have no effect in a running kernel, and notes. */
  readonly leftOut: LeftOutChange[] = [];
  readonly notes: string[] = [];
  readonly states: DeclaredStates[] = [];
  readonly #facts: KernelFacts;
  readonly #options: Settings;
  readonly #codes = new Map<string, RunningCode>();
  readonly #seen = new Set<CompiledPair>();

  constructor(facts: KernelFacts, options: Settings) {
    this.#facts = facts;
    this.#options = options;
  }

  /** Compares the pairs that it has not compared yet. Errors: those of the differ. */
  async add(pairs: readonly CompiledPair[]): Promise<void> {
    for (const pair of pairs) {
      if (this.#seen.has(pair)) continue;
      this.#seen.add(pair);
      const { unit } = pair;
      const [before, after] = [pair.original?.bytes, pair.patched.bytes];
      if (before !== undefined && Buffer.compare(before, after) === 0) continue;
      const patched = new ObjectFile(after, `${unit.object} (patched)`);
      const original = new ObjectFile(before ?? emptyObject(patched.object), `${unit.object} (original)`);
      this.states.push(...declaredStates(patched.elf, unit.object));
      for (const { object } of unit.owners) await this.#compare(unit, object, original, patched);
    }
  }

  async #compare(unit: Unit, object: string, original: ObjectFile, patched: ObjectFile): Promise<void> {
    const facts = this.#facts;
    const code = this.#codes.get(object) ?? (await runningCode(facts, object));
    this.#codes.set(object, code);
    const rules = await facts.rules();
    const runPre = await this.#runPre(unit, original, code, rules);
    if (unit.added === true && this.#options.leaveOutInit !== true) refuseInit(patched.elf, unit, object);
    const result = diff(original, patched, {
      names: { original: original.elf.file, patched: patched.elf.file },
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
    if (result.status === 'changed') this.differences.push({ unit, object, result, original, runPre });
  }

  /** Compares the unpatched unit with the target; on some machines as the vendor compiled it, see `vendorUnit`. */
  async #runPre(unit: Unit, original: ObjectFile, code: RunningCode, rules: KernelRules): Promise<RunPre> {
    const first = new RunPre(original.object, code, rules);
    const anchored = architectureOf(original.object).runPre?.sectionAnchors === true;
    if (!anchored || unit.added === true || first.isComplete) return first;
    using folder = temporaryFolder('kpatch-vendor-unit-');
    const { bytes } = await vendorUnit(this.#facts, unit, folder.path);
    return new RunPre(readObject(bytes, `${unit.object} (as the vendor compiled it)`), code, rules);
  }
}

/** Nothing calls the initialisation code of a new file in a running kernel. Error: `diff-init-changed`. */
export function refuseInit(elf: ElfFile, { object: file }: Unit, object: string): void {
  const section = elf.sections.find(({ name }) => /^\.(?:con_|security_)?initcall|^\.init\.text|^__param$/.test(name));
  if (section === undefined) return;
  const name = `the initialisation code in the new file ${file.replace(/\.o$/, '.c')}`;
  throw failure(
    'diff-init-changed',
    { name, section: section.name, object },
    { where: { file, section: section.name } },
  );
}

function exportOf(facts: KernelFacts, name: string): ReturnType<DiffOptions['exported']> {
  const found = facts.symvers.get(name);
  if (found === undefined) return undefined;
  const { module, exportType, namespace } = found;
  return { module, gpl: exportType.endsWith('_GPL'), ...(namespace === undefined ? {} : { namespace }) };
}

/**
 * The result of a comparison that is complete. Errors: those of `nothingChanged` if no running code changes; those of
 * `requireResolved`.
 */
export async function conclude(
  { differences, leftOut: changes, notes, states }: PairComparison,
  { kernel, facts }: Target,
  plan: CompilePlan,
): Promise<Compared> {
  const elsewhere = await plan.elsewhere();
  if (!differences.some(({ result }) => hasEffect(result))) {
    const added = differences.flatMap(({ result }) => result.functions.map(({ name }) => name));
    throw nothingChanged({ release: kernel.release, leftOut: plan.leftOut, changes, notes, added, elsewhere });
  }
  await requireResolved(differences, kernel.release, (name) => facts.requiredBy(name));
  return { differences, notes, states, elsewhere };
}

/** False if there are only new functions, which nothing in the running kernel calls. */
function hasEffect({ functions, callbacks }: DiffResult): boolean {
  return callbacks || functions.some(({ kind }) => kind === 'changed');
}
