/** `kpatch effective`: up to which newer release of its line a patched kernel has everything fixed. */
import type { Command } from 'commander';
import { type Effective, effective } from '../../advisory/triage/effective.ts';
import { plural } from '../../base/errors/plural.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { withMachineOptions } from './cves.ts';
import { type MachineOptions, triageMachine } from './machine-kernel.ts';

/** How many CVEs the text lists; `--json` has all. */
const SHOWN = 20;

export function register(program: Command): void {
  const command = program
    .command('effective [FILE...]')
    .description('show up to which newer kernel release everything is fixed here');
  withMachineOptions(command).action(action(run));
}

async function run(context: Context, options: MachineOptions, files: string[] = []): Promise<Outcome> {
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
