/** Simulated rollouts, short form of bench/fleet-rollouts.ts: good ones finish, bad ones are halted early. Seeds are in each message. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waldHostDays } from '#fleet/rollout/theory.ts';
import { type Outcome, simulate } from './simulation.ts';

const usual = 1 / 20_000;
const runs = process.env.KPATCH_SOAK === undefined ? 12 : 300;
const series = (first: number, world: { hosts: number; bad: number; outages?: number }): Outcome[] =>
  Array.from({ length: runs }, (_, at) => simulate({ seed: first + at, usual, ...world }));
const seeds = (outcomes: readonly Outcome[]): string => outcomes.map(({ seed }) => seed).join(' ');

for (const hosts of [1000, 250_000]) {
  test(`${hosts} hosts, harmless release: not halted, everywhere within 7 days`, () => {
    const outcomes = series(1, { hosts, bad: usual });
    const halted = outcomes.filter((one) => one.halted);
    assert.ok(halted.length <= Math.max(1, runs / 100), `halted seeds ${seeds(halted)}`);
    assert.ok(outcomes.every(({ halted, finishedDay }) => halted || finishedDay! < 7));
  });

  for (const oneIn of [20, 200]) {
    test(`${hosts} hosts, 1 in ${oneIn} crashes a day: halted`, () => {
      const outcomes = series(1000, { hosts, bad: 1 / oneIn });
      assert.deepEqual(
        outcomes.filter(({ halted }) => !halted),
        [],
      );
      const mean = outcomes.reduce((sum, one) => sum + one.hostDays, 0) / runs;
      // Few runs: 3 times for the mean of 12; the bench has the figures of 1,000.
      const bound = runs < 100 ? 3 : 1.5;
      assert.ok(mean < bound * waldHostDays(usual, 1 / oneIn, 0.01), `${mean} host-days`);
    });
  }
}

test('a bad release is halted although sites lose power or network every second day', () => {
  const outcomes = series(2000, { hosts: 10_000, bad: 1 / 50, outages: 0.5 });
  assert.ok(
    outcomes.every(({ halted }) => halted),
    seeds(outcomes.filter(({ halted }) => !halted)),
  );
});

test('a harmless release is not halted by an outage every second day', () => {
  const outcomes = series(3000, { hosts: 10_000, bad: usual, outages: 0.5 });
  const halted = outcomes.filter((one) => one.halted);
  assert.ok(halted.length <= 1, seeds(halted));
});
