/** `kpatch doctor`: checks whether this machine can build, prove and load live patches. */
import type { Command } from 'commander';
import { type Check, checkMachine, type Purpose } from '../../prepare/doctor.ts';
import { action, type Outcome } from '../command.ts';

const purposes: readonly Purpose[] = ['build', 'prove', 'load'];

export function register(program: Command): void {
  program
    .command('doctor')
    .description('check whether this machine can build, prove and load live patches')
    .option('--for <purpose>', 'check only what this purpose needs: build, prove or load')
    .option('--json', 'print JSON')
    .action(action(run));
}

async function run(_context: object, options: { for?: string }): Promise<Outcome> {
  const wanted = purposes.filter((purpose) => options.for === undefined || purpose === options.for);
  const checks = (await checkMachine()).filter(({ purpose }) => wanted.includes(purpose));
  const fit = Object.fromEntries(wanted.map((purpose) => [purpose, isFit(checks, purpose)]));
  const verdict = wanted.map((purpose) => `${fit[purpose] === true ? 'fit' : 'NOT fit'} to ${purpose}`).join(', ');
  return {
    exit: wanted.includes('build') && fit.build === false ? 1 : 0,
    schema: 'kpatch.doctor/1',
    data: { fit, checks },
    text: [...checks.map(line), '', `This machine is ${verdict}.`].join('\n'),
  };
}

function isFit(checks: readonly Check[], purpose: Purpose): boolean {
  return checks.every((check) => check.purpose !== purpose || check.state !== 'missing');
}

function line({ purpose, state, thing, found, fix }: Check): string {
  const mark = { ok: 'ok', warning: 'warn', missing: 'MISSING' }[state];
  return `${purpose.padEnd(6)} ${mark.padEnd(8)} ${thing}: ${found}${fix === undefined ? '' : ` -> ${fix}`}`;
}
