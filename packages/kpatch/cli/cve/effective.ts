/** `kpatch effective`: up to which newer release of its line a patched kernel has everything fixed. */
import type { Command } from 'commander';
import { type Effective, effective } from '../../advisory/triage/effective.ts';
import { plural } from '../../base/errors/plural.ts';
import { functionEffects } from '../../host/live/effectiveness.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { columns } from '../host/host-options.ts';
import { withMachineOptions } from './cves.ts';
import { type MachineOptions, triageMachine } from './machine-kernel.ts';

/** How many CVEs the text lists; `--json` has all. */
const SHOWN = 20;

export function register(program: Command): void {
  const command = program
    .command('effective [FILE...]')
    .description('show up to which newer kernel release everything is fixed here');
  command.option('--hooks', 'instead show whether the new code of each patched function really runs');
  withMachineOptions(command).action(action(run));
}

async function run(
  context: Context,
  options: MachineOptions & { hooks?: boolean },
  files: string[] = [],
): Promise<Outcome> {
  if (options.hooks === true) return hooks(options);
  const { kernel, advisories, triaged, skipped } = await triageMachine(files, options);
  for (const one of skipped) context.report.warn(one);
  const byId = new Map(triaged.map((one) => [one.cve, one]));
  const all = effective(kernel, advisories, byId);
  const selected = effective(kernel, advisories, byId, (one) => one !== undefined && !one.selected);
  if (all.known === 0)
    context.report.warn('no newer release of this line is known: give the changelog of the newest kernel package');
  const { release, version } = kernel;
  const lines = [
    `kernel ${release}, package version ${version}`,
    `Effective release: ${all.release}`,
    ...missing(all),
    `Under the selection: ${selected.release} (CVEs that the selection leaves out are still open)`,
    ...missing(selected),
  ];
  const data = { kernel: release, version, all, selected };
  return { schema: 'kpatch.effective/1', data, text: lines.join('\n') };
}

/** Exit status 1 if other code runs instead of a patch, or if the kernel does not tell. */
function hooks({ root }: MachineOptions): Outcome {
  const functions = functionEffects(thisMachine(root));
  const rows = functions.map(({ patch, object, name, effect, reason }) => [effect, patch, `${object}:${name}`, reason]);
  const doubtful = functions.some(({ effect }) => effect === 'shadowed' || effect === 'unknown');
  return {
    exit: doubtful ? 1 : 0,
    schema: 'kpatch.effective-hooks/1',
    data: { functions },
    text: functions.length === 0 ? 'no live patch is active' : columns(rows).join('\n'),
  };
}

function missing({ next, known }: Effective): string[] {
  if (next === undefined) return known === 0 ? [] : ['  that is the newest release known here'];
  const rest = next.missing.length - SHOWN;
  return [
    `  ${plural(next.missing.length, 'CVE')} missing for ${next.release}:`,
    ...next.missing
      .slice(0, SHOWN)
      .map(
        ({ cve, answer, severity, title }) =>
          `    ${cve.padEnd(16)} ${answer.padEnd(8)} ${severity.padEnd(9)} ${title}`,
      ),
    ...(rest > 0 ? [`    and ${rest} more (--json)`] : []),
  ];
}
