/** `kpatch report`: collects and signs a report, sends it, reads the answer. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { jsonText } from '../../base/print.ts';
import { collectReport } from '../../fleet/collect.ts';
import { waiting } from '../../fleet/outbox.ts';
import { membershipOf, needMembership, type Place, placeIn, readChain } from '../../fleet/place.ts';
import { collect, readHostKey, send, settle } from '../../fleet/report.ts';
import { sealReport } from '../../fleet/seal.ts';
import { startUpdate } from '../../fleet/units.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { withHostOptions } from '../host/host-options.ts';

interface Options {
  readonly root?: string;
  readonly print?: boolean;
  readonly collect?: boolean;
  readonly send?: boolean;
  readonly settle?: boolean;
}

export function register(program: Command): void {
  withHostOptions(
    program
      .command('report')
      .description('tell the fleet server what runs on this machine')
      .option('--print', 'only print the report')
      .option('--collect', 'only sign a report and put it into the outbox')
      .option('--send', 'only send what the outbox holds')
      .option('--settle', 'only read the answer of the server'),
  ).action(action(run));
}

async function run(context: Context, options: Options): Promise<Outcome> {
  const { root = '/' } = options;
  const place = placeIn(root);
  const machine = thisMachine(root);
  if (options.print === true) return printed(root, place);
  const all = !(options.collect || options.send || options.settle);
  if (!machine.offline && !machine.isRoot && options.send !== true) throw failure('not-root', {});
  const bytes = all || options.collect ? collect(machine, place).bytes : undefined;
  const sent = all || options.send ? await context.report.stage('send', () => send(place)) : undefined;
  const standing = all || options.settle ? await settled(root, place) : sent?.answer?.standing;
  const left = sent?.waiting ?? waiting(place).length;
  const lines = [
    ...(bytes === undefined ? [] : [`signed report of ${bytes} bytes`]),
    ...(sent === undefined ? [] : [`${plural(sent.sent, 'report')} sent`]),
    ...(left === 0 ? [] : [`${plural(left, 'report')} not sent yet`]),
  ];
  return {
    schema: 'kpatch.report/1',
    data: {
      ...(bytes === undefined ? {} : { bytes }),
      ...(sent === undefined ? {} : { sent: sent.sent }),
      waiting: left,
      ...(standing === undefined ? {} : { standing }),
    },
    text: lines.join('\n'),
  };
}

/** Error: `fleet-cloned`. */
async function settled(root: string, place: Place): Promise<string | undefined> {
  const { standing, chosen } = settle(place);
  if (chosen) await startUpdate(root);
  if (standing === 'cloned') throw failure('fleet-cloned', { url: needMembership(place).url });
  return standing;
}

function printed(root: string, place: Place): Outcome {
  const membership = membershipOf(place);
  const report = collectReport(thisMachine(root), membership?.host ?? '0'.repeat(32), readChain(place));
  const { schema: _, ...content } = report;
  const bytes = membership === undefined ? undefined : Buffer.byteLength(sealReport(report, readHostKey(place)));
  const data = { report: content, ...(bytes === undefined ? {} : { bytes }) };
  return { schema: 'kpatch.report/1', data, text: jsonText(report, 2) };
}
