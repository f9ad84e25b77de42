/**
 * `--after PREVIOUS.ko`: a cumulative patch replaces its predecessor completely, so what the predecessor fixed and the
 * successor does not is fixed no longer. The user must confirm that.
 */
import { failure, KpatchError } from '../base/errors/error.ts';
import { livepatchFacts, type ModuleContent, readModuleContent } from '../module/content.ts';
import type { Manifest } from '../module/manifest.ts';
import { type ReplacedFunction, replacedBy } from '../module/tables.ts';

export interface Predecessor {
  readonly file: string;
  readonly name: string;
  /** The kernel release it is for. */
  readonly release: string;
  /** Undefined for a module of another tool. */
  readonly version: number | undefined;
  readonly buildId: string | undefined;
  readonly functions: readonly ReplacedFunction[];
  readonly states: Manifest['states'];
}

/** Version and kernel to compare with. */
export interface SuccessorKernel {
  readonly release: string;
  readonly buildId: string | undefined;
}

/**
 * Reads the predecessor: its manifest, or the tables of a module of dynup/kpatch.
 * Errors: `file-unreadable`, those of reading ELF, `manifest-damaged`, `previous-unknown`, `previous-other-kernel`.
 */
export function readPredecessor(file: string, kernel: SuccessorKernel): Predecessor {
  const module = readModuleContent(file);
  const where = { where: { file } };
  const unknown = (problem: string): Error => failure('previous-unknown', { file, problem }, where);
  const facts = livepatchFacts(module);
  if (typeof facts === 'string') throw unknown(facts);
  const { manifest } = module;
  const release = manifest?.release ?? facts.release;
  const differs =
    manifest?.buildId !== undefined && kernel.buildId !== undefined && manifest.buildId !== kernel.buildId;
  if (release !== kernel.release || differs) {
    const found = release === kernel.release ? `another build of ${release}` : release;
    throw failure('previous-other-kernel', { file, found, release: kernel.release }, where);
  }
  // A shield fixes nothing: the fix replaces it, whichever functions that changes.
  const functions = module.manifest?.shield === undefined ? tablesOf(module) : [];
  if (functions === undefined) throw unknown('it has neither a manifest nor a table of replaced functions');
  return {
    file,
    name: manifest?.name ?? facts.name,
    release,
    version: manifest?.version,
    buildId: manifest?.buildId,
    functions,
    states: manifest?.states ?? [],
  };
}

function tablesOf(module: ModuleContent): readonly ReplacedFunction[] | undefined {
  try {
    return replacedBy(module);
  } catch (error) {
    if (error instanceof KpatchError && error.code === 'intermediate-malformed') return undefined;
    throw error;
  }
}

/** The version of the successor: the one that is wanted, or the next. Error: `previous-version` if it does not rise. */
export function successorVersion(previous: Predecessor | undefined, wanted: number | undefined): number {
  const before = previous?.version ?? 0;
  if (wanted === undefined) return before + 1;
  if (wanted > before) return wanted;
  const params = { file: previous!.file, version: before, wanted, next: before + 1 };
  throw failure('previous-version', params, { where: { file: previous!.file } });
}

/**
 * Compares the manifest of the new patch with the previous one; `withdrawn` are the functions that may be dropped.
 * Errors: `previous-uncovered`, `previous-states`, `withdraw-unknown`.
 */
export function checkSuccessor(
  previous: Predecessor,
  manifest: Pick<Manifest, 'functions' | 'states'>,
  withdrawn: readonly string[],
): void {
  const covered = new Set(manifest.functions.map(keyOf));
  const missing = previous.functions.filter((one) => !covered.has(keyOf(one)));
  const idle = withdrawn.find((name) => !missing.some((one) => one.name === name));
  if (idle !== undefined) {
    const problem = previous.functions.some(({ name }) => name === idle)
      ? 'the new patch replaces it too'
      : 'the previous patch does not replace it';
    throw failure('withdraw-unknown', { function: idle, problem }, { where: { file: previous.file, function: idle } });
  }
  const lost = missing.filter(({ name }) => !withdrawn.includes(name));
  if (lost.length > 0) {
    const detail = lost.map(keyOf).join('\n');
    const params = { file: previous.file, count: lost.length, first: lost[0]!.name };
    throw failure('previous-uncovered', params, { where: { file: previous.file, function: lost[0]!.name }, detail });
  }
  // klp_is_state_compatible (kernel/livepatch/state.c): a replacing patch must support every state, at the same version or
  // higher.
  for (const { id, version } of previous.states) {
    const now = manifest.states.find((state) => state.id === id)?.version;
    if (now !== undefined && now >= version) continue;
    throw failure('previous-states', {
      id,
      version,
      now: now === undefined ? 'none' : `version ${now}`,
      file: previous.file,
    });
  }
}

function keyOf({ name, object, sympos }: ReplacedFunction): string {
  return `${name}${sympos > 1 ? `,${sympos}` : ''} (${object})`;
}
