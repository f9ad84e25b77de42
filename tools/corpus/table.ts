/** What the corpus prints. */
import { plural } from '#kpatch/base/errors/plural.ts';
import { leftOut, type Outcome } from './attempt.ts';

/** Errors by which a fix ends well without a module. */
const nothingToDo = new Set(['no-change', 'not-built']);

/** Prints how many fixes came to what, and returns it. `load` is false if no module was loaded. */
export function printTable(
  outcomes: readonly Outcome[],
  failures: ReadonlyMap<Outcome, string>,
  load: boolean,
): Map<string, number> {
  const rows = new Map<string, number>();
  const count = (row: string): void => void rows.set(row, (rows.get(row) ?? 0) + 1);
  let failed = 0;
  for (const outcome of outcomes) {
    if (outcome.result === 'failed' || failures.has(outcome)) {
      failed++;
      count('failed');
    } else if (outcome.result === 'built') count(load ? 'built, loaded, unloaded, log clean' : 'built');
    else if (nothingToDo.has(outcome.result))
      count(outcome.result === 'no-change' ? 'nothing to do' : 'not in this kernel');
    else count(outcome.result === leftOut ? `${leftOut}, loaded` : `refused: ${outcome.result}`);
  }
  console.log('\n| outcome | fixes |\n|---|---|');
  for (const [row, number] of [...rows].sort((a, b) => b[1] - a[1])) console.log(`| ${row} | ${number} |`);
  if (failed === 0) console.log('| failed | 0 |');
  const built = outcomes.filter(({ build: made }) => made !== undefined).length;
  const code = outcomes.filter(({ result }) => !nothingToDo.has(result)).length;
  console.log(
    `\nOf ${code} that are in the kernel and change code, ${built} were built (${((100 * built) / Math.max(1, code)).toFixed(0)} of 100).`,
  );
  rows.set('failed', failed);
  return rows;
}

/** The line of one fix. */
export function lineOf(index: number, { fix, result, ms, detail }: Outcome): string {
  const name = `${fix.name}${fix.files.length > 1 ? ` (${plural(fix.files.length, 'file')})` : ''}`;
  const text = detail.split('\n')[0]!.slice(0, 150);
  return `${String(index).padStart(4)}  ${result.padEnd(26)} ${(ms / 1000).toFixed(1).padStart(6)} s  ${name}  ${text}`;
}
