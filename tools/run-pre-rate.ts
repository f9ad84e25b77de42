/**
 * How many functions of a prepared kernel match what is compiled here: units drawn by a seed, compiled as a build compiles them,
 * each function compared with the code in the image or the module. Prints the rate, and the rest by its reason.
 *
 *     node tools/run-pre-rate.ts RELEASE [--units 200] [--seed 1] [--all]
 */
import { parseArgs } from 'node:util';
import { consoleReporter } from '#kpatch/base/report.ts';
import { matchRate } from './machines/match-rate.ts';
import { preparedHere } from './machines/prepared.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    units: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    all: { type: 'boolean', default: false },
  },
});

const [release = ''] = positionals;
const report = consoleReporter();
const kernel = await preparedHere(release, report);
const rate = await matchRate(kernel, {
  units: Number(values.units),
  seed: Number(values.seed),
  report,
});
process.stdout.write(`${rate.text(values.all)}\n`);
