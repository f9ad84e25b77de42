/** What counts as evidence: outages, bursts, a fleet that has changed, missing reports, and all metrics together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cell, count, emptyGroup, type Group, judge, ratioOf, tally } from '#fleet/rollout/evidence.ts';
import { ERROR, rateRules, shareRules } from '#fleet/rollout/metrics.ts';

const group = (hostDays: number, some: Partial<Group> = {}): Group => ({ ...emptyGroup, hostDays, ...some });
const history = group(900_000, { crash: 45, oops: 45, missing: 1800 });
const noLoads = { tried: 0, failed: 0, slow: 0 };

function judged(cells: readonly Cell[], before = history, loads = noLoads) {
  return judge(cells.reduce(count, tally(before)), loads);
}
const hours = (number: number, cell: Cell): Cell[] => Array.from({ length: number }, () => cell);
const finding = (result: ReturnType<typeof judged>, metric: string) =>
  result.findings.find((one) => one.metric === metric)!;

test('the weights of all metrics add up to the permitted error', () => {
  const weights = [...Object.values(rateRules), ...Object.values(shareRules)].map(({ weight }) => weight);
  assert.ok(Math.abs(weights.reduce((a, b) => a + b) - 1) < 1e-12);
  assert.equal(judged([]).limit, 1 / ERROR);
});

test('nothing observed: the evidence is 1 or less, and nothing halts', () => {
  const result = judged([]);
  assert.ok(result.evidence <= 1 && !result.halts);
});

test('two of twenty hosts crash within a day: halted because of crashes', () => {
  const quiet = { patched: group(20 / 24), unpatched: group(980 / 24) };
  const result = judged([...hours(23, quiet), { ...quiet, patched: group(20 / 24, { crash: 2 }) }]);
  assert.ok(result.halts);
  assert.equal(result.leading.metric, 'crash');
});

test('a site without power: the hour is set aside, for as many patched as unpatched hosts', () => {
  const dark = { patched: group(100 / 24, { crash: 60 }), unpatched: group(900 / 24, { crash: 540 }) };
  const result = judged([dark]);
  assert.ok(!result.halts, String(result.evidence));
  assert.equal(finding(result, 'crash').setAside, 1);
});

test('a bad release is not hidden by an outage: far more patched than unpatched hosts crash', () => {
  const dark = { patched: group(100 / 24, { crash: 60 }), unpatched: group(900 / 24, { crash: 10 }) };
  assert.ok(judged([dark]).halts);
});

test('a burst without unpatched hosts counts as two; when it goes on, the release is halted', () => {
  const burst = { patched: group(1000 / 24, { crash: 400 }), unpatched: group(0) };
  const quiet = { patched: group(1000 / 24), unpatched: group(0) };
  const once = judged([...hours(70, quiet), burst, ...hours(3, quiet)]);
  assert.equal(finding(once, 'crash').events, 2);
  assert.ok(!once.halts, String(once.evidence));
  assert.ok(judged([...hours(70, quiet), burst, burst, burst]).halts);
});

test('the whole fleet becomes worse: patched hosts are compared with unpatched ones only', () => {
  // 30 times the usual rate on both.
  const cell = { patched: group(10, { crash: 0 }), unpatched: group(90) };
  const cells = hours(200, cell).map((one, at) => ({
    patched: group(10, { crash: at % 66 === 0 ? 1 : 0 }),
    unpatched: group(one.unpatched.hostDays, { crash: at % 7 === 0 ? 1 : 0 }),
  }));
  const result = judged(cells);
  assert.ok(finding(result, 'crash').onlySideBySide);
  assert.ok(!result.halts, String(result.evidence));
  const worse = cells.map((one, at) => ({ ...one, patched: group(10, { crash: at % 3 === 0 ? 1 : 0 }) }));
  assert.ok(judged(worse).halts);
});

test('hosts that never come back are seen by their missing reports', () => {
  const cell = { patched: group(50 / 24, { missing: 1 }), unpatched: group(950 / 24) };
  const result = judged(hours(8, cell));
  assert.ok(result.halts);
  assert.equal(result.leading.metric, 'missing');
});

test('a release that crashes hosts while they load it is never seen to run: one crash in no host-days halts it', () => {
  const loading = { patched: group(0, { crash: 1 }), unpatched: group(0.01) };
  const result = judged([loading], emptyGroup, { tried: 0, failed: 0, slow: 0 });
  assert.ok(result.halts);
  assert.equal(result.leading.metric, 'crash');
  const missing = judged([{ patched: group(0, { missing: 1 }), unpatched: group(0.01) }], emptyGroup);
  assert.equal(missing.halts, false, 'one host that is silent does not');
});

test('failed loads halt', () => {
  const result = judged([], history, { tried: 10, failed: 5, slow: 0 });
  assert.ok(result.halts);
  assert.equal(result.leading.metric, 'failed');
});

test('a fleet without history uses the assumed rate; one with crashes every day uses its own', () => {
  const fresh = finding(judged([{ patched: group(2000), unpatched: group(1) }], emptyGroup), 'crash');
  assert.ok(Math.abs(fresh.expected - 0.1) < 0.001);
  const wild = group(1000, { crash: 5 });
  const own = finding(judged([{ patched: group(1000), unpatched: group(1) }], wild), 'crash');
  assert.ok(own.expected >= 5);
});

test('the ratio is stated for rates only', () => {
  const result = judged([{ patched: group(1000), unpatched: group(1000) }]);
  assert.equal(ratioOf(finding(result, 'failed')), undefined);
  assert.ok(ratioOf(finding(result, 'crash'))!.most > 1);
});

test('evidence stays a finite number however bad it is', () => {
  const terrible = { patched: group(10_000, { crash: 9000, oops: 9000, missing: 9000 }), unpatched: group(10_000) };
  const { evidence } = judged(hours(50, terrible), history, { tried: 10_000, failed: 10_000, slow: 10_000 });
  assert.ok(Number.isFinite(evidence) && evidence > 1e9);
});
