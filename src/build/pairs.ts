/** The translation units of a plan, compiled before and after the patch. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelFacts } from '../kernel/facts.ts';
import { type CompiledUnit, compileUnits, ObjectStore } from './compile.ts';
import { objtoolSettings } from './objtool.ts';
import { SourceOverlay } from './overlay.ts';
import type { Unit } from './plan.ts';

export interface CompiledPair {
  readonly unit: Unit;
  readonly original: CompiledUnit;
  readonly patched: CompiledUnit;
}

export interface PairsInput {
  readonly facts: KernelFacts;
  readonly units: readonly Unit[];
  /** The overlay with the patches applied. */
  readonly patched: SourceOverlay;
  /** An empty folder for the overlay of the unpatched source. */
  readonly folder: string;
  readonly jobs: number;
  readonly update: (text: string) => void;
  /** Given the pairs round by round where there are many: what stops the build, as a structure that a header changes, is said early. */
  readonly look: (pairs: readonly CompiledPair[]) => Promise<void>;
}

/** With so many units for each compiler they are compiled in rounds, each twice as large as the one before. */
const MANY = 4;

/**
 * Compiles the units; originals that were compiled before for this kernel are taken from the cache.
 * Errors: `compile-failed`, `tree-changed`, those of `look`.
 */
export async function compilePairs(input: PairsInput): Promise<CompiledPair[]> {
  const { facts, units, jobs } = input;
  const variables = await facts.variables();
  const settings = objtoolSettings(facts.config);
  const store = new ObjectStore(join(facts.derived, 'objects'), identityOf(facts), { variables, settings });
  const originals = new Map<Unit, CompiledUnit>();
  for (const unit of units) {
    const kept = unit.added === true ? undefined : store.get(unit);
    if (kept !== undefined) originals.set(unit, kept);
  }
  const missing = units.filter((unit) => !originals.has(unit));
  const total = missing.length + units.length;
  let done = 0;
  const onDone = ({ unit }: CompiledUnit): void =>
    input.update(`${++done} of ${total}: ${unit.object.replace(/\.o$/, '')}`);
  // Kept one by one: a build that is interrupted leaves what it has compiled to the next.
  const keep = (one: CompiledUnit): void => {
    onDone(one);
    originals.set(one.unit, one);
    if (one.unit.added !== true) store.put(one);
  };
  const original = new SourceOverlay(facts.kernel.paths.tree, input.folder);
  for (const unit of missing) if (unit.added === true) makeEmpty(original, unit);
  /** Both sides at once, each with its share of the compilers. */
  const compile = async (some: readonly Unit[]): Promise<CompiledPair[]> => {
    const absent = some.filter((unit) => !originals.has(unit));
    const share = absent.length === 0 ? jobs : Math.max(1, Math.ceil(jobs / 2));
    const common = { variables, settings, jobs: share };
    const [patched] = await Promise.all([
      compileUnits(input.patched, some, { ...common, when: 'after', onDone }),
      compileUnits(original, absent, { ...common, when: 'before', onDone: keep }),
    ]);
    return patched.map((one) => ({ unit: one.unit, original: originals.get(one.unit)!, patched: one }));
  };
  if (units.length <= MANY * jobs) return await compile(units);
  const pairs: CompiledPair[] = [];
  for (let size = jobs; pairs.length < units.length; size *= 2) {
    const round = await compile(units.slice(pairs.length, pairs.length + size));
    pairs.push(...round);
    if (pairs.length < units.length) await input.look(round);
  }
  return pairs;
}

/** What a unit was before it was there: a source file with nothing in it. */
function makeEmpty(overlay: SourceOverlay, { object }: Unit): void {
  const source = object.replace(/\.o$/, '.c');
  overlay.copy(source);
  writeFileSync(join(overlay.root, source), '');
}

/** Stands for the source and configuration that a prepared kernel was made from. */
function identityOf({ kernel }: KernelFacts): string {
  const { release, sourceVersion, buildId, packages } = kernel;
  return JSON.stringify([release, sourceVersion, buildId, packages]);
}
