/** What a proof does not show, in words: a verdict is worth what was looked at. */
import type { Proof } from '../module/proof.ts';
import { NOT_AGAIN } from './checks/late-modules.ts';

/** One sentence for each thing that this proof leaves open; each begins with what it is. */
export function limitsOf(proof: Proof): string[] {
  const { plan, inputs, checks } = proof;
  const has = (role: string): boolean => inputs.some((input) => input.role === role);
  const ran = (id: string): boolean => checks.some(({ check }) => check.endsWith(`/${id}`));
  const limits: string[] = [];
  if (!has('test')) limits.push('whether it fixes anything: no test script was given (--test)');
  if (plan.includes(', only ')) {
    limits.push(`what other checks would see: this is the plan "${plan}"`);
  } else if (plan === 'quick') {
    const more = 'a busy kernel, many cycles, memory errors, modules that come and go, upgrades, the boot path';
    limits.push(`${more}: the quick plan is one boot (--full)`);
  } else if (!has('predecessor')) limits.push('an upgrade from another patch: none was given (--from)');
  if (plan === 'full' && !ran('applied')) limits.push('the boot path: it was not part of this proof');
  const kept = checks.flatMap(({ evidence }) => evidence.filter(({ text }) => text.endsWith(NOT_AGAIN)));
  limits.push(...kept.map(({ text }) => `a module that comes back: ${text}`));
  for (const { check, evidence } of checks) {
    if (!check.endsWith('/reached') || !check.startsWith('stock/')) continue;
    for (const { text } of evidence) {
      if (/called 0 times|cannot be counted/.test(text))
        limits.push(`the code of a function that did not run: ${text}`);
    }
  }
  return limits;
}
