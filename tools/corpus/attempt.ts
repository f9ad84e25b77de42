/** Builds fixes and says what came of each. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { type BuildResult, build } from '#kpatch/builder/build.ts';
import type { Fix } from './fix.ts';
import type { SourceDifference } from './source-difference.ts';

export interface Outcome {
  readonly fix: Fix;
  /** `built`, or the code of the error that ended it. */
  readonly result: string;
  readonly ms: number;
  readonly detail: string;
  readonly build?: BuildResult;
}

/**
 * Builds a fix. A single file that does not compile alone is not a fix; of headers and several files, what the cut misses
 * of the whole difference is added, and it is tried again.
 */
export async function buildFix(fix: Fix, index: number, source: SourceDifference, folder: string): Promise<Outcome> {
  const start = performance.now();
  let current = fix;
  let outcome = await attempt(current, index, source, folder);
  for (let round = 0; round < 4 && isCut(outcome) && fix.kind !== 'source file'; round++) {
    const more = await source.missing(outcome.detail, current.files);
    if (more.length === 0 || current.files.length + more.length > 12) break;
    current = { name: fix.name, kind: 'several files', files: [...current.files, ...more].sort() };
    outcome = await attempt(current, index, source, folder);
  }
  // The person decides about parts that run only when a module comes or goes; here it is the one who left them in the
  // patch.
  if (outcome.result === 'diff-init-changed') {
    const without = await attempt(current, index, source, folder, true);
    if (without.result === 'built') outcome = { ...without, result: leftOut };
    else if (without.result === 'no-change') outcome = without;
  }
  return { ...outcome, fix: current, ms: performance.now() - start };
}

/** The result of a fix whose changed init or exit part was left out, which the user has to ask for. */
export const leftOut = 'built with --leave-out-init';

/**
 * True if the fix was cut so that a part is missing: it does not compile, what it calls is defined in another file, or it only adds
 * functions that another file calls.
 */
export function isCut({ result, detail }: Outcome): boolean {
  if (result === 'compile-failed' || result === 'symbols-unresolved') return true;
  const reasons = detail.split('\n').filter((line) => line.startsWith('  | '));
  if (result !== 'nothing-patchable' && result !== 'diff-left-out') return false;
  // A function or an export that only other files use.
  return reasons.length > 0 && reasons.every((line) => /it is new, and nothing|the export of \w+ is new/.test(line));
}

async function attempt(
  fix: Fix,
  index: number,
  source: SourceDifference,
  folder: string,
  leaveOutInit = false,
): Promise<Outcome> {
  const file = join(folder, `fix-${index}.patch`);
  writeFileSync(file, (await Promise.all(fix.files.map((path) => source.patch(path)))).join(''));
  const ended = (result: string, detail: string, built?: BuildResult): Outcome => {
    return { fix, result, ms: 0, detail, ...(built === undefined ? {} : { build: built }) };
  };
  const quiet = silentReporter();
  try {
    const built = await build(
      {
        patches: [file],
        release: source.older.release,
        kernelSource: source.archive,
        name: `corpus_${index}`,
        version: 1,
        cves: [],
        replace: true,
        skipCompilerCheck: false,
        keepLineChanges: false,
        leaveOutInit,
      },
      quiet,
    );
    for (const warning of quiet.warnings) if (warning.includes('prepared again')) console.error(warning);
    return ended('built', built.functions.map(({ name }) => name).join(' '), built);
  } catch (error) {
    if (!(error instanceof KpatchError))
      return ended('failed', error instanceof Error ? (error.stack ?? '') : String(error));
    return ended(error.code === 'internal' ? 'failed' : error.code, renderError(error));
  }
}
