/** A proof in a few lines for a terminal. */
import { plural } from '../base/errors/plural.ts';
import type { Proof } from '../module/proof.ts';
import { limitsOf } from './limits.ts';

/** The verdict, then the failed checks with their reasons, and the end of the console if a guest was lost. */
export function proofText(proof: Proof): string {
  const held = proof.checks.filter(({ outcome }) => outcome === 'held').length;
  const lines = [
    '',
    `${verdictText(proof.verdict)}: ${proof.module.file} on ${proof.kernel.release}`,
    `${held} of ${plural(proof.checks.length, 'check')} of the plan "${proof.plan}" passed in ${seconds(proof.ms)}`,
  ];
  for (const { outcome, title, reason, evidence } of proof.checks) {
    if (outcome !== 'failed') continue;
    lines.push('', `✗ ${title}`, `  ${reason ?? ''}`);
    const detail = evidence.findLast((seen) => seen.detail !== undefined && seen.detail.trim() !== '')?.detail;
    if (detail !== undefined) lines.push(...lastLines(detail, 30).map((line) => `  | ${line}`));
  }
  const notRun = proof.checks.filter(({ outcome }) => outcome === 'not run');
  if (notRun.length > 0) lines.push('', `not run: ${notRun.map(({ title }) => title).join('; ')}`);
  const limits = limitsOf(proof);
  if (limits.length > 0) lines.push('', 'not shown:', ...limits.map((limit) => `  ${limit}`));
  return `${lines.join('\n')}\n`;
}

/** The verdict in capitals; names of modules stay as they are: `PROVEN EXCEPT amd64_edac`. */
export function verdictText(verdict: string): string {
  return verdict.replace(/^(?:not proven|proven(?: except)?)/, (words) => words.toUpperCase());
}

/** `12.3 s`, or `1 min 23 s` from a minute on. */
export function seconds(ms: number): string {
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function lastLines(text: string, count: number): string[] {
  return text.trimEnd().split('\n').slice(-count);
}
