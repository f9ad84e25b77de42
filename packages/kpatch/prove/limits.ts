/** What a proof does not show, in words. */
import type { Proof } from '../module/proof.ts';
import { reached } from './checks/author-test.ts';
import { KEEPS_RELOCATIONS } from './checks/late-modules.ts';
import { isRecordOf } from './run/record.ts';

/** What the proof says of main functions of kernel threads. */
function threadMainsOf({ checks }: Proof): string[] {
  const evidence = checks.flatMap((check) => check.evidence);
  return evidence
    .filter(({ data }) => (data as { threadMain?: string } | undefined)?.threadMain !== undefined)
    .map(({ text }) => `a transition on a machine where that thread runs: ${text}`);
}

/** What the proof says of each module that could not be run, once. */
function exceptionsOf({ checks }: Proof): string[] {
  const evidence = checks.flatMap((check) => check.evidence);
  const found = evidence.filter(({ data }) => (data as { exception?: string } | undefined)?.exception !== undefined);
  return [...new Set(found.map(({ text }) => text))];
}

/** One phrase for each thing that this proof does not show. */
export function limitsOf(proof: Proof): string[] {
  const { plan, inputs, checks } = proof;
  const has = (role: string): boolean => inputs.some((input) => input.role === role);
  const ran = (id: string): boolean => checks.some((record) => isRecordOf(record, id));
  const limits: string[] = [];
  if (!has('test')) limits.push('whether it fixes anything: no test script was given (--test)');
  if (plan.includes(', only ')) {
    limits.push(`what other checks would find: this is the plan "${plan}"`);
  } else if (plan === 'quick') {
    const upgrades = ran('upgrade') ? '' : 'upgrades, ';
    const more = `a busy kernel, many cycles, memory errors, loading and unloading of patched modules, ${upgrades}the boot path`;
    limits.push(`${more}: the quick plan does not check this (--full does)`);
  } else if (!has('predecessor')) limits.push('an upgrade from another patch: no previous patch was given (--from)');
  if (plan === 'full' && !ran('applied')) limits.push('the boot path: it was not part of this proof');
  limits.push(...exceptionsOf(proof).map((text) => `code that did not run: ${text}`));
  limits.push(...threadMainsOf(proof));
  const kept = checks.flatMap(({ evidence }) => evidence.filter(({ text }) => text.includes(KEEPS_RELOCATIONS)));
  limits.push(...kept.map(({ text }) => `a module that is loaded again: ${text}`));
  for (const { evidence } of checks.filter((one) => one.boot === 'stock' && isRecordOf(one, reached.id))) {
    for (const { text } of evidence) {
      // Proofs of version 0.1 say `cannot be counted`.
      if (/called 0 times|cannot count calls|cannot be counted/.test(text))
        limits.push(`the code of a function that did not run: ${text}`);
    }
  }
  return limits;
}
