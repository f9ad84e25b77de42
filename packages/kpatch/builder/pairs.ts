/** Compiles the units of a plan before and after the patch. */
import { join } from 'node:path';
import type { ElfObject } from '../formats/elf/object.ts';
import { writeObject } from '../formats/elf/write-object.ts';
import { type Compilation, compilationKey, compileUnits, inParallel, ObjectStore } from '../kbuild/compile.ts';
import { EditedObjects } from '../kbuild/edited-objects.ts';
import { type KbuildVariables, withoutDifferFlags } from '../kbuild/kbuild.ts';
import { objtoolSettings } from '../kbuild/objtool.ts';
import { SourceOverlay } from '../kbuild/overlay.ts';
import type { CompiledUnit, Unit } from '../kbuild/unit.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { CompileTime, describeWide, WIDE } from './duration/compile-time.ts';

export interface CompiledPair {
  readonly unit: Unit;
  /** Undefined for a unit that the patch adds. */
  readonly original: CompiledUnit | undefined;
  readonly patched: CompiledUnit;
}

export interface PairsInput {
  readonly facts: KernelFacts;
  readonly units: readonly Unit[];
  /** The overlay with the patches applied. */
  readonly patched: SourceOverlay;
  /** An empty folder for the unpatched overlay. */
  readonly folder: string;
  readonly jobs: number;
  readonly update: (text: string) => void;
  /** Takes a sentence for the user. */
  readonly note: (text: string) => void;
  /**
   * Called with the pairs of each round if there are many, so that errors (such as a changed structure) are found early.
   */
  readonly look: (pairs: readonly CompiledPair[]) => Promise<void>;
}

/** From this many units per compiler on, they are compiled in rounds, each twice as large as the previous one. */
const MANY = 4;

/**
 * Compiles the units. What was compiled before from the same source comes from the cache.
 * Errors: `compile-failed`, `tree-changed`, those of `look`.
 */
export async function compilePairs(input: PairsInput): Promise<CompiledPair[]> {
  const { facts, units, jobs } = input;
  const variables = await facts.variables();
  const settings = objtoolSettings(facts.config);
  const key = compilationKey(identityOf(facts), { variables, settings });
  const cache = join(facts.derived, 'objects');
  const store = new ObjectStore(cache, key);
  const edited = await editedObjects(input, cache, key);
  const known = new Map<Unit, CompiledUnit>();
  for (const unit of edited === undefined ? [] : units) {
    const kept = edited?.get(unit);
    if (kept !== undefined) known.set(unit, kept);
  }
  const originals = new Map<Unit, CompiledUnit>();
  for (const unit of units) {
    const kept = store.get(unit);
    if (kept !== undefined) originals.set(unit, kept);
  }
  const isMissing = (unit: Unit): boolean => unit.added !== true && !originals.has(unit);
  const total = units.filter(isMissing).length + units.length - known.size;
  const times = new CompileTime(facts.derived);
  if (total >= WIDE) input.note(describeWide(units.length, total, times.unitMs, jobs));
  let done = 0;
  const onDone = ({ unit }: CompiledUnit): void =>
    input.update(`${++done} of ${total}: ${unit.object.replace(/\.o$/, '')}`);
  // Stored one by one, so that the next build can use what an interrupted build has compiled.
  const keep = (one: CompiledUnit): void => {
    onDone(one);
    originals.set(one.unit, one);
    store.put(one);
  };
  const original = new SourceOverlay(facts.kernel.paths.tree, input.folder);
  /** Compiles both sides at once, each with its share of the compilers. */
  const compile = async (some: readonly Unit[]): Promise<CompiledPair[]> => {
    const absent = some.filter(isMissing);
    const start = performance.now();
    const share = absent.length === 0 ? jobs : Math.max(1, Math.ceil(jobs / 2));
    const common = { variables, settings, jobs: share };
    const after = { ...common, when: 'after', onDone } as const;
    const [fresh] = await Promise.all([
      compilePatched(
        some.filter((unit) => !known.has(unit)),
        input.patched,
        edited,
        after,
      ),
      compileUnits(original, absent, { ...common, when: 'before', onDone: keep }),
    ]);
    times.record(fresh.length + absent.length, performance.now() - start, jobs);
    for (const one of fresh) known.set(one.unit, one);
    return some.map((unit) => ({ unit, original: originals.get(unit), patched: known.get(unit)! }));
  };
  using _pruned = { [Symbol.dispose]: () => edited?.prune() };
  if (units.length <= MANY * jobs) return await compile(units);
  const pairs: CompiledPair[] = [];
  for (let size = jobs; pairs.length < units.length; size *= 2) {
    const round = await compile(units.slice(pairs.length, pairs.length + size));
    pairs.push(...round);
    if (pairs.length < units.length) await input.look(round);
  }
  return pairs;
}

/** More units than this come from a changed header, which nearly all of them read: keeping them would not help an edit of it. */
const MOST_KEPT = 40;

async function editedObjects(input: PairsInput, cache: string, key: string): Promise<EditedObjects | undefined> {
  const { facts, units, patched } = input;
  return units.length > MOST_KEPT ? undefined : new EditedObjects(cache, key, patched, await facts.includes());
}

/** Compiles patched units, each by itself if it can be kept. */
async function compilePatched(
  units: readonly Unit[],
  patched: SourceOverlay,
  edited: EditedObjects | undefined,
  compilation: Compilation,
): Promise<CompiledUnit[]> {
  if (edited === undefined) return await compileUnits(patched, units, compilation);
  const { onDone, ...quiet } = compilation;
  const compiled: CompiledUnit[] = [];
  const others: Unit[] = [];
  await inParallel(units, compilation.jobs, async (unit) => {
    const one = await edited.compile(unit, { ...quiet, jobs: 1 });
    if (one === undefined) others.push(unit);
    else {
      compiled.push(one);
      onDone?.(one);
    }
  });
  return [...compiled, ...(await compileUnits(patched, others, compilation))];
}

/** One unit as the kernel has it, compiled or from the cache. Error: `compile-failed`. */
export async function originalUnit(facts: KernelFacts, unit: Unit, folder: string): Promise<CompiledUnit> {
  return await compiledOriginal(facts, unit, folder, await facts.variables());
}

/**
 * One unpatched unit exactly as the vendor compiled it, without the flags that the differ needs: where a machine reaches several
 * variables from one address (`-fsection-anchors`), `-fdata-sections` changes the code. Error: `compile-failed`.
 */
export async function vendorUnit(facts: KernelFacts, unit: Unit, folder: string): Promise<CompiledUnit> {
  return await compiledOriginal(facts, unit, folder, withoutDifferFlags(await facts.variables()));
}

async function compiledOriginal(
  facts: KernelFacts,
  unit: Unit,
  folder: string,
  variables: KbuildVariables,
): Promise<CompiledUnit> {
  const settings = objtoolSettings(facts.config);
  const store = new ObjectStore(
    join(facts.derived, 'objects'),
    compilationKey(identityOf(facts), { variables, settings }),
  );
  const kept = store.get(unit);
  if (kept !== undefined) return kept;
  const overlay = new SourceOverlay(facts.kernel.paths.tree, folder);
  const [made] = await compileUnits(overlay, [unit], { variables, settings, jobs: 1, when: 'before' });
  store.put(made!);
  return store.get(unit)!;
}

/** The bytes of an empty object of the same kind: the original of a new unit. */
export function emptyObject(like: ElfObject): Uint8Array {
  return writeObject({ ...like, sections: [], symbols: [] });
}

/** Identifies the source and configuration of a prepared kernel. */
function identityOf({ kernel }: KernelFacts): string {
  const { release, sourceVersion, buildId, packages } = kernel;
  return JSON.stringify([release, sourceVersion, buildId, packages]);
}
