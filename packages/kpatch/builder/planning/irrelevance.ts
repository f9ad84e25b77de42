/** The outcomes of a build without a module: shown to be irrelevant to the kernel, or refused because that is not certain. */
import { failure, type KpatchError } from '../../base/errors/error.ts';
import { leftOutError, noEffectError } from '../../differ/left-out-error.ts';
import type { LeftOutChange } from '../../differ/options.ts';

/** Why a patch, or one of its files, does not matter to a kernel. */
export type Irrelevance =
  | 'documents-only'
  | 'other-architecture'
  | 'not-configured'
  | 'same-code'
  | 'overridden'
  | 'already-applied';

/** A changed file that is not in the module. */
export interface LeftOut {
  readonly file: string;
  readonly reason: string;
  /** The kind of the proof that the file does not matter to this kernel; absent if there is none. */
  readonly proof?: Irrelevance;
}

/** From the weakest to the strongest: the reason of a patch is the strongest of its files. */
const order: readonly Irrelevance[] = ['documents-only', 'other-architecture', 'not-configured'];

/** The error where no file of a patch belongs to a unit of the kernel: `not-built` or `nothing-patchable`. */
export function nothingBuilt(files: readonly string[], leftOut: readonly LeftOut[], release: string): KpatchError {
  const unproven = leftOut.filter(({ proof }) => proof === undefined);
  if (unproven.length > 0) return nothingPatchable(unproven, leftOut, release);
  const reason = order.findLast((one) => leftOut.some(({ proof }) => proof === one));
  return failure(
    'not-built',
    { release, files: files.join(', ') },
    { detail: linesOf(leftOut), leftOut, ...(reason === undefined ? {} : { reason }) },
  );
}

/** What is known once all units are compared. */
export interface UnitsCompared {
  readonly release: string;
  readonly leftOut: readonly LeftOut[];
  /** What the differ left out, its notes, and functions that the patch only adds. */
  readonly changes: readonly LeftOutChange[];
  readonly notes: readonly string[];
  readonly added: readonly string[];
  /** Changed files that are also part of code outside kbuild's lists of objects, each with what that is. */
  readonly elsewhere: readonly LeftOut[];
}

/**
 * The error where the compiled code does not change: `no-change` or `change-overridden` if everything is shown to be irrelevant,
 * otherwise `diff-left-out` or `nothing-patchable`.
 */
export function nothingChanged({ release, leftOut, changes, notes, added, elsewhere }: UnitsCompared): KpatchError {
  if (changes.some(({ reason }) => reason !== 'overridden')) return leftOutError(changes);
  const unproven = [...leftOut.filter(({ proof }) => proof === undefined), ...elsewhere];
  const unused = added.map((name) => ({ file: name, reason: 'it is new, and nothing in the running kernel calls it' }));
  if (unproven.length + unused.length > 0)
    return nothingPatchable([...unused, ...unproven], [...unused, ...elsewhere, ...leftOut], release);
  const lines = [...notes, ...leftOut.map(({ file, reason }) => `left out: ${file}: ${reason}`)];
  return noEffectError(changes, lines, release, leftOut);
}

function nothingPatchable(unproven: readonly LeftOut[], all: readonly LeftOut[], release: string): KpatchError {
  const names = unproven.map(({ file }) => file).join(', ');
  return failure('nothing-patchable', { names, release }, { detail: linesOf(all), leftOut: all });
}

function linesOf(leftOut: readonly LeftOut[]): string {
  return leftOut.map(({ file, reason }) => `${file}: ${reason}`).join('\n');
}
