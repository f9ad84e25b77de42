/** The e-processes: their error when one looks after every event, their power against Wald's test, and their bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addSideBySide,
  binomialAtLeast,
  noSideBySide,
  poissonAtLeast,
  rateEvidence,
  ratioBounds,
  shareEvidence,
  sideBySideEvidence,
} from '#fleet/rollout/sequential.ts';
import { waldHostDays } from '#fleet/rollout/theory.ts';
import { type Random, random } from './random.ts';

const usual = 1 / 20_000;
const wait = (dice: Random, rate: number): number => -Math.log(1 - dice.next()) / rate;

test('a harmless release: looking after every event, at most 1 run in 100 ever reaches 100', () => {
  const dice = random(1);
  let halted = 0;
  for (let run = 0; run < 1000; run++) {
    // The baseline itself is random: the host-days until its tenth event.
    let hostDays = 0;
    for (let n = 0; n < 10; n++) hostDays += wait(dice, usual);
    let t = 0;
    for (let events = 1; events <= 100; events++) {
      t += wait(dice, usual);
      if (rateEvidence(events, t, { events: 10, hostDays }) >= Math.log(100)) {
        halted++;
        break;
      }
    }
  }
  assert.ok(halted <= 10, `${halted} of 1,000`);
});

test('side by side: a rate that changes by the hour for both groups halts at most 1 run in 100', () => {
  const dice = random(2);
  let halted = 0;
  for (let run = 0; run < 1000; run++) {
    let state = noSideBySide;
    for (let hour = 0; hour < 200; hour++) {
      const rate = dice.next() < 0.1 ? 3 : 0.05;
      const part = (hostDays: number) => ({ hostDays, events: dice.poisson(rate * hostDays) });
      state = addSideBySide(state, part(0.5), part(4));
      if (sideBySideEvidence(state) >= Math.log(100)) {
        halted++;
        break;
      }
    }
  }
  assert.ok(halted <= 10, `${halted} of 1,000`);
});

test('a bad release: 1.5 times the host-days of the test that knows both rates, on average', () => {
  for (const [bad, seed] of [
    [1 / 20, 3],
    [1 / 200, 4],
    [1 / 2000, 5],
  ] as const) {
    const dice = random(seed);
    let sum = 0;
    for (let run = 0; run < 1500; run++) {
      let t = 0;
      for (let events = 1; ; events++) {
        t += wait(dice, bad);
        if (rateEvidence(events, t, { events: 100, hostDays: 2_000_000 }) + Math.log(0.54) >= Math.log(100)) break;
      }
      sum += t;
    }
    const ratio = sum / 1500 / waldHostDays(usual, bad, 0.01);
    assert.ok(ratio < 1.5 && ratio > 0.9, `1 in ${1 / bad}: ${ratio}`);
  }
});

test("Wald's host-days: the exact sum for a test that one event decides", () => {
  // One event halts at any time that occurs: the expectation is the time until it, 20 days.
  assert.ok(Math.abs(waldHostDays(1e-9, 1 / 20, 0.01) - 20) < 0.1);
});

test('loads: the allowed share never counts, ten times the share does', () => {
  assert.ok(shareEvidence(2, 100, 0.02) < 0);
  assert.ok(shareEvidence(4, 20, 0.02) > Math.log(10));
  assert.ok(shareEvidence(3, 3, 0.02) > Math.log(1000));
  assert.equal(shareEvidence(0, 0, 0.02), 0);
});

test('bounds of the ratio enclose the truth and narrow with time', () => {
  const baseline = { events: 100, hostDays: 2_000_000 };
  const few = ratioBounds(0, 100, baseline, 0.025);
  assert.equal(few.least, 0);
  assert.ok(few.most > 100);
  const many = ratioBounds(50, 100_000, baseline, 0.025);
  assert.ok(many.least > 3 && many.least < 10 && many.most > 10 && many.most < 30, JSON.stringify(many));
  const good = ratioBounds(5, 100_000, baseline, 0.025);
  assert.ok(good.least < 1 && good.most < 5, JSON.stringify(good));
});

test('tails of distributions', () => {
  assert.ok(Math.abs(poissonAtLeast(1, 0.5) - (1 - Math.exp(-0.5))) < 1e-12);
  assert.ok(Math.abs(poissonAtLeast(20, 1) / 1.6e-19 - 1) < 0.05, String(poissonAtLeast(20, 1)));
  assert.equal(poissonAtLeast(0, 3), 1);
  assert.equal(poissonAtLeast(3, 0), 0);
  assert.ok(Math.abs(binomialAtLeast(2, 3, 0.5) - 0.5) < 1e-9);
});
