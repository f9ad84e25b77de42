/** The tables that `tools/refused.ts` prints. */
import type { TriedFix } from './store.ts';
import { isRefused } from './try.ts';

const share = (part: number, of: number): string => `${((100 * part) / Math.max(1, of)).toFixed(0)} of 100`;

/** Every refused fix with what came of it, then the sums. */
export function printTables(fixes: readonly TriedFix[]): void {
  const refused = unique(fixes.filter(isRefused));
  console.log(
    '\n| sources | file | refused because of | after the rewriting | rules | review |\n|---|---|---|---|---|---|',
  );
  for (const one of refused) {
    const { sources, name, result, rewrite, proof, hazards = [] } = one;
    const after = rewrite?.result === 'built' ? (proof?.verdict ?? 'built') : (rewrite?.result ?? 'not tried');
    const kinds = [...new Set(hazards.map(({ kind }) => kind))].join(', ');
    const rules = rewrite?.result === 'built' ? rewrite.rules.join(', ') : '';
    console.log(
      `| ${sources.old} to ${sources.new} | \`${name}\` | ${reasonsOf(one).join(', ') || result} | ${after} | ${rules} | ${kinds} |`,
    );
  }
  const proven = refused.filter(({ proof }) => proof?.verdict.startsWith('proven'));
  const built = refused.filter(({ rewrite }) => rewrite?.result === 'built');
  console.log(
    `\nOf ${refused.length} refused fixes, ${built.length} are built after the rewriting (${share(built.length, refused.length)}), ${proven.length} of them proven (${share(proven.length, refused.length)}).`,
  );
  whole(unique(fixes.filter(({ screened }) => !screened)));
}

/** Fixes that change code of the kernel, from the draws that pass over nothing. */
function whole(fixes: readonly TriedFix[]): void {
  const code = fixes.filter(({ result }) => !['cut', 'no-change', 'not-built'].includes(result));
  if (code.length === 0) return;
  const plain = code.filter(({ result }) => result === 'built').length;
  // A part that is left out is not there.
  const more = code.filter((one) => one.rewrite?.result === 'built' && !one.rewrite.rules.includes('init-part')).length;
  const failed = fixes.filter(({ result }) => result === 'failed').length;
  console.log(
    `Of ${code.length} fixes that change code, from draws without --screen, ${plain} are built as they are and ${more} with rewriting and no part left out (together ${share(plain + more, code.length)}); ${failed} failed.`,
  );
}

/** A fix counts once, whichever seed drew it. */
function unique(fixes: readonly TriedFix[]): TriedFix[] {
  return [...new Map(fixes.map((one) => [`${one.sources.old} ${one.sources.new} ${one.name}`, one])).values()];
}

/** All reasons that the refusal names. */
function reasonsOf({ detail }: TriedFix): string[] {
  return [...new Set([...detail.matchAll(/\[diff-([a-z-]+)\]/g)].map(([, reason]) => reason!))];
}
