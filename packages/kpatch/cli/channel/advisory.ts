/** `kpatch advisory`: which CVEs a newer kernel fixes, which the live patch fixes, and which need a reboot. */

import { type Command, Option } from 'commander';
import { type AssessedCve, type Assessment, assess } from '../../advisory/assess.ts';
import {
  ecosystemHere,
  installedChangelogs,
  packageVersionOf,
  runningRelease,
  versionsFor,
} from '../../advisory/kernel.ts';
import { defaultSelection, readSelection } from '../../advisory/selection.ts';
import { readSources } from '../../advisory/sources.ts';
import { plural } from '../../base/errors/plural.ts';
import { coveredBy } from '../../channel/covered.ts';
import { describedKernel } from '../../prepare/manifest.ts';
import { action, type Outcome } from '../command.ts';
import { withRoot } from '../root-option.ts';

interface Options {
  readonly kernel?: string;
  readonly from?: string;
  readonly to?: string;
  readonly distribution?: string;
  readonly selection?: string;
  readonly policy?: string;
  readonly module?: string[];
  readonly all?: boolean;
  readonly root?: string;
}

export function register(program: Command): void {
  withRoot(
    program
      .command('advisory [FILE...]')
      .description('show which CVEs a newer kernel fixes and which of them the live patch covers')
      .option('-k, --kernel <release>', 'kernel to report on (default: the running one)')
      .option('--from <version>', 'version of its package (default: derived from the release)')
      .option('--to <version>', 'version to compare with (default: the newest in the changelogs)')
      .option('--distribution <name>', 'name of the distribution in OSV, such as Debian:12 (default: this one)')
      .option('--selection <file>', 'file that selects the CVEs worth a live patch (default: important and critical)')
      .addOption(new Option('--policy <file>', 'the earlier name of --selection').hideHelp())
      .option('-m, --module <file...>', 'livepatch modules whose CVEs count as covered (default: the loaded ones)')
      .option('--all', 'also list the CVEs that wait for a reboot')
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        '\nFILE: CVE JSON 5, OSV, CSAF or VEX documents, folders of them, kernel changelogs (plain or gzip).',
      ),
    'root directory of the machine to report on',
  ).action(action(run));
}

async function run(
  context: { report: { warn(text: string): void } },
  options: Options,
  files: string[] = [],
): Promise<Outcome> {
  const root = options.root ?? '/';
  const release = options.kernel ?? runningRelease(root);
  if (options.policy !== undefined)
    context.report.warn('--policy is now called --selection; a host policy is something else');
  const chosen = options.selection ?? options.policy;
  const selection = chosen === undefined ? defaultSelection : readSelection(chosen);
  let sources = readSources(files);
  const given = { ...options, ...(await preparedVersion(release, options.from, root)) };
  const known = await versionsFor(release, sources.changelogs, given, root);
  if (sources.changelogs.length === 0) {
    const extra = readSources(installedChangelogs(known.from, root).slice(0, 4));
    sources = { ...sources, changelogs: extra.changelogs };
  }
  for (const skipped of sources.skipped) context.report.warn(skipped);
  const versions = await versionsFor(release, sources.changelogs, { ...options, from: known.from }, root);
  const distribution = options.distribution ?? ecosystemHere(root);
  const covered = coveredBy(options.module, release, root);
  const kernel = { ...versions, scheme: known.scheme, ...(distribution === undefined ? {} : { distribution }) };
  const assessment = assess(kernel, sources.advisories, sources.changelogs, selection, covered);
  if (assessment.from === assessment.to && sources.changelogs.length === 0) {
    context.report.warn('no newer version of this kernel is known: give its changelog or --to VERSION');
  }
  return {
    schema: 'kpatch.advisory/1',
    data: { kernel: release, ...assessment },
    text: show(release, assessment, options.all === true),
  };
}

/** A kernel that was prepared for building need not be installed; its version is known all the same. */
async function preparedVersion(release: string, from: string | undefined, root: string): Promise<{ from?: string }> {
  if (from !== undefined || root !== '/' || (await packageVersionOf(release, root)) !== undefined) return {};
  const version = describedKernel(release)?.sourceVersion;
  return version === undefined ? {} : { from: version };
}

function show(release: string, assessment: Assessment, all: boolean): string {
  const { counts, cves, from, to } = assessment;
  const lines = [
    `kernel ${release}, package version ${from}; newest ${to}`,
    from === to
      ? 'no newer version is known'
      : `fixed by a newer kernel or by the live patch: ${plural(counts.fixed, 'CVE')}`,
    `  ${counts.covered} fixed by the live patch`,
    `  ${counts.awaited} selected but not fixed by the live patch`,
    `  ${counts.reboot} left for the next reboot`,
  ];
  const section = (title: string, chosen: readonly AssessedCve[]): void => {
    if (chosen.length > 0) lines.push('', `${title}:`, ...chosen.map(row));
  };
  section(
    'Selected but not fixed yet (run kpatch update, or reboot)',
    cves.filter((cve) => cve.verdict === 'awaited'),
  );
  section(
    'Fixed by the live patch',
    cves.filter((cve) => cve.verdict === 'covered'),
  );
  const left = cves.filter((cve) => cve.verdict === 'reboot');
  if (all) section('Left for the next reboot', left);
  else if (left.length > 0) lines.push('', `Left for the next reboot: ${summary(left)} (--all lists them)`);
  return lines.join('\n');
}

function row(cve: AssessedCve): string {
  const fixed = cve.fixedIn === '' ? '' : `, fixed in ${cve.fixedIn}`;
  return `  ${cve.cve.padEnd(16)} ${cve.severity.padEnd(9)} ${cve.title}\n${' '.repeat(19)}${cve.reason}${fixed}`;
}

function summary(left: readonly AssessedCve[]): string {
  const counts = new Map<string, number>();
  for (const cve of left) counts.set(cve.severity, (counts.get(cve.severity) ?? 0) + 1);
  return [...counts].map(([severity, count]) => `${count} ${severity}`).join(', ');
}
