/** A proof in a few lines for a terminal. */
import type { Proof } from '../module/proof.ts';

/** The verdict first, then what did not hold and why, with the end of the console where a guest was lost. */
export function proofText(proof: Proof): string {
  const held = proof.checks.filter(({ outcome }) => outcome === 'held').length;
  const lines = [
    '',
    `${proof.verdict.toUpperCase()}: ${proof.module.file} on ${proof.kernel.release}`,
    `${held} of ${proof.checks.length} checks of the plan "${proof.plan}" held, in ${(proof.ms / 1000).toFixed(1)} s`,
  ];
  for (const { outcome, title, reason, evidence } of proof.checks) {
    if (outcome !== 'failed') continue;
    lines.push('', `✗ ${title}`, `  ${reason ?? ''}`);
    const detail = evidence.findLast((seen) => seen.detail !== undefined && seen.detail.trim() !== '')?.detail;
    if (detail !== undefined) lines.push(...lastLines(detail, 30).map((line) => `  | ${line}`));
  }
  const notRun = proof.checks.filter(({ outcome }) => outcome === 'not run');
  if (notRun.length > 0) lines.push('', `not run: ${notRun.map(({ title }) => title).join('; ')}`);
  return `${lines.join('\n')}\n`;
}

function lastLines(text: string, count: number): string[] {
  return text.trimEnd().split('\n').slice(-count);
}
