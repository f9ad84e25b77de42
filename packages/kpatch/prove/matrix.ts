/** Runs several proofs in parallel, with as many guests as memory and cores allow. A failure does not stop the others. */

import { KpatchError } from '../base/errors/error.ts';
import type { Proof } from '../module/proof.ts';
import { verdictText } from './proof-text.ts';

export interface Cell {
  /** The label in the table: the kernel release, with the module if there are several for it. */
  readonly label: string;
  readonly proof?: Proof;
  /** Set if no proof could be made. */
  readonly error?: KpatchError;
}

/** Runs the jobs. An error of the catalogue goes into the cell of its job; any other error is thrown. */
export async function runMatrix(
  jobs: readonly { readonly label: string; readonly run: () => Promise<Proof> }[],
): Promise<Cell[]> {
  return Promise.all(
    jobs.map(async ({ label, run }) => {
      try {
        return { label, proof: await run() };
      } catch (error) {
        if (error instanceof KpatchError && error.code !== 'interrupted') return { label, error };
        throw error;
      }
    }),
  );
}

/** True if every cell is proven. */
export function allProven(cells: readonly Cell[], allowExceptions = false): boolean {
  return cells.every(({ proof }) => proof !== undefined && succeeds(proof, allowExceptions));
}

/** Whether a verdict is a success: `proven except` only where exceptions are allowed. */
export function succeeds({ verdict }: Proof, allowExceptions = false): boolean {
  return verdict === 'proven' || (allowExceptions && verdict.startsWith('proven except '));
}

/** The table for a terminal: one line per kernel. */
export function matrixText(cells: readonly Cell[]): string {
  const rows = cells.map(({ label, proof, error }) => {
    if (proof === undefined) return [label, 'NO PROOF', '', '', error?.message ?? ''];
    const held = proof.checks.filter(({ outcome }) => outcome === 'held').length;
    return [
      label,
      verdictText(proof.verdict),
      `${held}/${proof.checks.length}`,
      `${(proof.ms / 1000).toFixed(1)} s`,
      proof.reasons[0] ?? '',
    ];
  });
  const table = [['KERNEL', 'VERDICT', 'CHECKS', 'TIME', 'WHY'], ...rows];
  const widths = table[0]!.map((_, at) => Math.max(...table.map((row) => row[at]!.length)));
  return `${table
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}
