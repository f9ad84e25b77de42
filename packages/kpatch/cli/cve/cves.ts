/** `kpatch cves`: one answer for each CVE of a kernel, as text, JSON, VEX or OVAL. */
import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { answers, countAnswers, type TriagedCve } from '../../advisory/triage/answer.ts';
import { csafVex } from '../../advisory/vex/csaf-vex.ts';
import { cveMetrics } from '../../advisory/vex/metrics.ts';
import { openVex } from '../../advisory/vex/openvex.ts';
import { ovalFeed } from '../../advisory/vex/oval.ts';
import type { VexInput } from '../../advisory/vex/subject.ts';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { writeAtomically } from '../../base/files.ts';
import { version as tool } from '../../base/version.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { rootFolder } from '../root-option.ts';
import { type MachineOptions, type MachineTriage, triageMachine } from './machine-kernel.ts';

interface Options extends MachineOptions {
  readonly fixed?: boolean;
  readonly open?: boolean;
  readonly selected?: boolean;
  readonly format?: 'openvex' | 'csaf' | 'oval' | 'metrics';
  readonly output?: string;
  readonly publisher?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('cves [FILE...]')
    .description('show for each CVE whether this kernel is affected, fixed or not concerned, and why')
    .option('--fixed', 'only what is fixed, by the package or by a live patch')
    .option('--open', 'only what is open or unknown')
    .option('--selected', 'only what the selection takes')
    .addOption(
      new Option('--format <name>', 'print a document for scanners, or metrics for Prometheus').choices([
        'openvex',
        'csaf',
        'oval',
        'metrics',
      ]),
    )
    .option('-o, --output <file>', 'with --format: write the document to this file')
    .option('--publisher <url>', 'with --format csaf: a URL of the organization (default: the name of this machine)');
  withMachineOptions(command).action(action(run));
}

/** The options that say which kernel is meant and what its CVEs are judged by. */
export function withMachineOptions(command: Command): Command {
  return command
    .option('-k, --kernel <release>', 'kernel to report on (default: the running one)')
    .option('--from <version>', 'version of its package (default: derived from the release)')
    .option('--distribution <name>', 'name of the distribution in advisories (default: this one)')
    .option('--selection <file>', 'file that selects the CVEs worth a live patch (default: important and critical)')
    .option('-m, --module <file...>', 'livepatch modules whose CVEs count as fixed (default: the active ones)')
    .option('--root <folder>', 'root directory of the machine to report on', rootFolder)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nFILE: CVE JSON 5, OSV, CSAF or VEX documents, the JSON of a security tracker, CISA KEV, folders of them, changelogs.',
    );
}

async function run(context: Context, options: Options, files: string[] = []): Promise<Outcome> {
  if (options.format !== undefined && options.json === true && options.output === undefined)
    throw failure('usage', { problem: '--format with --json needs --output FILE' });
  const found = await triageMachine(files, options);
  for (const skipped of found.skipped) context.report.warn(skipped);
  const { kernel, triaged } = found;
  const cves = triaged.filter((one) => isAsked(one, options));
  const data = { kernel: kernel.release, version: kernel.version, counts: countAnswers(triaged), cves };
  const schema = 'kpatch.cves/1';
  if (options.format === undefined) return { schema, data, text: show(found, cves) };
  const document = render(options.format, found, cves, options.publisher);
  if (options.output === undefined) return { schema, data, text: document };
  writeAtomically(options.output, document);
  return { schema, data: { ...data, written: options.output }, text: '' };
}

function isAsked({ answer, selected }: TriagedCve, options: Options): boolean {
  if (options.selected === true && !selected) return false;
  if (options.fixed !== true && options.open !== true) return true;
  return (
    (options.fixed === true && answer === 'fixed') ||
    (options.open === true && (answer === 'open' || answer === 'unknown'))
  );
}

function render(
  format: NonNullable<Options['format']>,
  { kernel, arch }: MachineTriage,
  cves: readonly TriagedCve[],
  publisher: string | undefined,
): string {
  const { release, version, live } = kernel;
  if (format === 'metrics') return cveMetrics(release, cves);
  if (cves.length === 0) throw failure('cves-none', { release });
  const date = new Date().toISOString();
  if (format === 'oval') {
    const patches = new Map([...live].map(([cve, name]) => [cve, [name]] as const));
    return ovalFeed([{ release, cves, patches }], date.slice(0, 19), tool);
  }
  const scheme = kernel.scheme === 'rpm' ? 'rpm' : 'deb';
  const { distribution } = kernel;
  const host = hostname();
  const input: VexInput = {
    subject: { release, version, scheme, arch, host, ...(distribution === undefined ? {} : { distribution }) },
    cves,
    date,
    tool,
  };
  const namespace = publisher ?? `https://${host.replace(/[^A-Za-z0-9.-]/g, '-')}`;
  const document = format === 'openvex' ? openVex(input) : csafVex(input, { name: host, namespace });
  return `${JSON.stringify(document, null, 1)}\n`;
}

function show({ kernel, triaged }: MachineTriage, cves: readonly TriagedCve[]): string {
  const counts = countAnswers(triaged);
  const lines = [
    `kernel ${kernel.release}, package version ${kernel.version}: ${plural(triaged.length, 'CVE')}`,
    ...answers.map((answer) => `  ${String(counts[answer]).padStart(5)} ${answer}`),
  ];
  if (triaged.length === 0)
    lines.push('', 'No source names a CVE: give advisories or the changelog of a newer kernel.');
  for (const answer of ['open', 'unknown', 'fixed', 'not in this configuration', 'not affected'] as const) {
    const chosen = cves.filter((one) => one.answer === answer);
    if (chosen.length > 0) lines.push('', `${answer}:`, ...chosen.flatMap(rows));
  }
  return lines.join('\n');
}

function rows({ cve, severity, title, evidence, objects }: TriagedCve): string[] {
  const reach = objects.map((object) => `${object.name} (${object.reach})`).join(', ');
  return [
    `  ${cve.padEnd(16)} ${severity.padEnd(9)} ${title}`,
    ...evidence.map(({ by, text }) => `${' '.repeat(19)}${by}: ${text}`),
    ...(reach === '' ? [] : [`${' '.repeat(19)}in ${reach}`]),
  ];
}
