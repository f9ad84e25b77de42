/**
 * Simulated rollouts (issue: halted by evidence): how many harmless ones are halted, how soon bad ones are, compared with Wald's test that
 * knows both rates. Prints a table and the seeds. RUNS=N: rollouts of each row (default 20).
 */
import { waldHostDays } from '../packages/fleet/rollout/theory.ts';
import { type Outcome, simulate } from '../packages/fleet/test/rollout/simulation.ts';

const runs = Number(process.env.RUNS ?? 20);
const usual = 1 / 20_000;
const fleets = [1000, 10_000, 250_000];
let seed = 1;

function series(hosts: number, bad: number): { readonly from: number; readonly outcomes: readonly Outcome[] } {
  const from = seed;
  seed += runs;
  return { from, outcomes: Array.from({ length: runs }, (_, at) => simulate({ seed: from + at, hosts, usual, bad })) };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const some = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * part)]!;

console.log(`${runs} rollouts in each row; usual: 1 in 20,000 hosts crashes a day; a site fails every 30 days\n`);
console.log('| fleet | harmless: halted | everywhere within (days): median | longest | outages | seeds |');
console.log('|---:|---:|---:|---:|---:|---|');
for (const hosts of fleets) {
  const { from, outcomes } = series(hosts, usual);
  const days = outcomes.flatMap(({ finishedDay }) => finishedDay ?? []);
  const halted = outcomes.filter((one) => one.halted);
  const which = halted.length === 0 ? '' : ` (halted: ${halted.map((one) => one.seed).join(', ')})`;
  console.log(
    `| ${hosts} | ${halted.length} of ${runs} | ${some(days, 0.5).toFixed(1)} | ${Math.max(...days).toFixed(1)} | ${outcomes.reduce((sum, one) => sum + one.outages, 0)} | ${from}–${from + runs - 1}${which} |`,
  );
}
console.log(
  '\n| fleet | 1 crash a day in | halted | host-days: mean | 90 % below | Wald | times Wald | crashed hosts: mean | patched hosts: mean | seeds |',
);
console.log('|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|');
for (const hosts of fleets)
  for (const oneIn of [20, 60, 200, 600, 2000]) {
    const { from, outcomes } = series(hosts, 1 / oneIn);
    const hostDays = outcomes.map((one) => one.hostDays);
    const wald = waldHostDays(usual, 1 / oneIn, 0.01);
    const cells = [
      hosts,
      oneIn,
      `${outcomes.filter(({ halted }) => halted).length} of ${runs}`,
      mean(hostDays).toFixed(0),
      some(hostDays, 0.9).toFixed(0),
      wald.toFixed(0),
      (mean(hostDays) / wald).toFixed(2),
      mean(outcomes.map(({ crashed }) => crashed)).toFixed(1),
      mean(outcomes.map(({ patched }) => patched)).toFixed(0),
      `${from}–${from + runs - 1}`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
