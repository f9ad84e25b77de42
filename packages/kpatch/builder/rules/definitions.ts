/** Checks new functions and data that one difference of a patch defines and another one refers to. */
import { failure } from '../../base/errors/error.ts';
import type { DiffResult } from '../../differ/options.ts';
import type { Unit } from '../../kbuild/unit.ts';

/** Names of the modules that are always loaded when the module of this name is. */
export type Requirements = (module: string) => Promise<ReadonlySet<string>>;

/** A changed unit of one object, as far as this check needs it. */
export interface UnitChange {
  readonly unit: Unit;
  readonly object: string;
  readonly result: DiffResult;
}

/**
 * Requires that everything the differences refer to is defined (a symbol of the kernel, an export, another difference) and
 * available whenever the code that refers to it runs: new code in a module is reached through livepatch relocations, which
 * the kernel applies when the module is loaded.
 * Errors: `symbols-unresolved`, `symbols-of-module`.
 */
export async function requireResolved(
  differences: readonly UnitChange[],
  release: string,
  requirements: Requirements,
): Promise<void> {
  const definers = new Map<string, Set<string>>();
  for (const { object, result } of differences) {
    for (const name of result.defined) definers.set(name, (definers.get(name) ?? new Set()).add(object));
  }
  const missing: { name: string; unit: string }[] = [];
  for (const { unit, object, result } of differences) {
    for (const name of result.unresolved) {
      const objects = definers.get(name);
      if (objects === undefined) missing.push({ name, unit: unit.object });
      else if (!(await isReached(object, objects, requirements))) {
        const owner = [...objects].join(', ');
        throw failure('symbols-of-module', { symbol: name, user: object, owner }, { where: { file: unit.object } });
      }
    }
  }
  if (missing.length === 0) return;
  const symbols = [...new Set(missing.map(({ name }) => name))].join(', ');
  const detail = missing.map(({ name, unit }) => `${unit} needs ${name}`).join('\n');
  throw failure('symbols-unresolved', { symbols, release }, { detail });
}

async function isReached(user: string, owners: ReadonlySet<string>, requirements: Requirements): Promise<boolean> {
  if (owners.has(user) || owners.has('vmlinux')) return true;
  if (user === 'vmlinux') return false;
  const required = await requirements(user);
  return [...owners].some((owner) => required.has(owner));
}
