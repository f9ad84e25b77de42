/** Matches the replaced functions with the code of the target, and says of each function of the patch why it is there. */
import { failure } from '../../base/errors/error.ts';
import type { Reporter } from '../../base/report.ts';
import { Causes } from '../cause.ts';
import type { BuiltFunction } from '../request.ts';
import { stackWarnings } from '../rules/stacks.ts';
import { describeMismatch } from '../run-pre.ts';
import type { Compared, UnitDifference } from './compare.ts';
import type { Sources } from './compile/workshop.ts';
import type { Order } from './order.ts';
import type { Target } from './target.ts';

/** The functions of the patch. Unless the user skips it, each replaced one matches the running code. Error: `run-pre-mismatch`. */
export async function matchRunning(
  { differences }: Compared,
  sources: Sources,
  { kernel }: Target,
  { request }: Order,
  report: Reporter,
): Promise<readonly BuiltFunction[]> {
  const skipped = request.skipRunPre === true;
  if (skipped)
    report.warn('run-pre match skipped: the replaced functions were not compared with the code of the kernel');
  else await report.stage('run-pre match', () => requireRunPre(differences, kernel.release));
  const functions = differences.flatMap((difference) => describe(difference, sources, !skipped));
  for (const warning of stackWarnings(functions, differences)) report.warn(warning);
  return functions;
}

/**
 * Requires that every replaced function matches the code of the target.
 * Error: `run-pre-mismatch` with the first difference of each function.
 */
function requireRunPre(differences: readonly UnitDifference[], release: string): void {
  const wrong = differences.flatMap(({ result, runPre, object }) =>
    result.functions
      .filter(({ kind, name }) => kind === 'changed' && runPre.result(name)?.matched !== true)
      .map(({ name }) => ({ name, line: `${object}: ${describeMismatch(runPre.result(name), name)}` })),
  );
  if (wrong.length === 0) return;
  const functions = wrong.map(({ name }) => name).join(', ');
  const detail = wrong.map(({ line }) => line).join('\n');
  throw failure('run-pre-mismatch', { count: wrong.length, release, functions }, { detail });
}

function describe(difference: UnitDifference, { patched, edits }: Sources, matched: boolean): BuiltFunction[] {
  const { unit, object, result, runPre } = difference;
  const reaching = edits.filter(({ file }) => unit.through.includes(file));
  const causes = new Causes(patched, unit.object.replace(/\.o$/, '.c'), reaching);
  return result.functions.map(({ name, sympos, kind, reasons, source }) => {
    const cause = causes.of(name);
    const digest = kind === 'changed' && matched ? runPre.digest(name) : undefined;
    return {
      name,
      object,
      sympos: sympos ?? 0,
      kind,
      unit: unit.object,
      ...(digest === undefined ? {} : { digest }),
      ...(source === undefined ? {} : { source }),
      reasons: reasons.map(({ text }) => text),
      cause,
      patches: cause.patches,
    };
  });
}
