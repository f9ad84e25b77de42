/** `kpatch doctor`: checks whether this machine can build, prove and load live patches. */
import { type Command, Option } from 'commander';
import { type Line, line, type Span, span } from '../../base/text/terminal.ts';
import { type Check, checkMachine, type Purpose } from '../../prepare/doctor.ts';
import { action, type Outcome } from '../command.ts';

const purposes: readonly Purpose[] = ['build', 'prove', 'load'];

export function register(program: Command): void {
  program
    .command('doctor')
    .description('check whether this machine can build, prove and load live patches')
    .addHelpText('after', '\nExit status: 0 if it can do all that was asked, 1 if it cannot.')
    .addOption(new Option('--for <purpose>', 'check only what this purpose needs').choices(purposes))
    .option('--json', 'print JSON')
    .action(action(run));
}

async function run(_context: object, options: { for?: string }): Promise<Outcome> {
  const wanted = purposes.filter((purpose) => options.for === undefined || purpose === options.for);
  const checks = (await checkMachine()).filter(({ purpose }) => wanted.includes(purpose));
  const fit = Object.fromEntries(wanted.map((purpose) => [purpose, isFit(checks, purpose)]));
  return {
    exit: wanted.every((purpose) => fit[purpose] === true) ? 0 : 1,
    schema: 'kpatch.doctor/1',
    data: { fit, checks },
    text: [...wanted.flatMap((purpose) => section(purpose, checks)), ...installText(checks)],
  };
}

function isFit(checks: readonly Check[], purpose: Purpose): boolean {
  return checks.every((check) => check.purpose !== purpose || check.state !== 'missing');
}

/** One purpose: the verdict, then what is missing, what has a drawback, and in one line what is there. */
function section(purpose: Purpose, checks: readonly Check[]): Line[] {
  const own = checks.filter((check) => check.purpose === purpose);
  const good = own.filter(({ state }) => state === 'ok').map(({ thing }) => thing);
  const verdict = isFit(checks, purpose) ? span('good', 'ready') : span('bad', 'NOT READY');
  return [
    line([span('strong', `${purpose}: `), verdict]),
    ...own.filter(({ state }) => state === 'missing').flatMap((check) => entry(span('bad', '  missing  '), check)),
    ...own.filter(({ state }) => state === 'warning').flatMap((check) => entry(span('warning', '  note     '), check)),
    ...(good.length === 0 ? [] : [line([span('good', '  ok       '), good.join(', ')], INDENT)]),
    line([]),
  ];
}

/** Column of the texts. */
const INDENT = 11;

function entry(mark: Span, { thing, found, fix }: Check): Line[] {
  const first = line([mark, `${thing}: ${found}`], INDENT);
  return fix === undefined ? [first] : [first, line([' '.repeat(INDENT), span('quiet', 'fix: '), fix], INDENT)];
}

/** One command that installs everything that is missing. */
function installText(checks: readonly Check[]): Line[] {
  const names = checks.filter(({ state }) => state === 'missing').flatMap((check) => check.package ?? []);
  const missing = [...new Set(names)].sort();
  if (missing.length === 0) return [];
  return [line(['Install what is missing:']), line([span('command', `  apt-get install ${missing.join(' ')}`)], 4)];
}
