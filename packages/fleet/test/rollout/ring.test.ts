/** Which ring a host belongs to, and when maintenance windows are open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeOf, planProblem, ringOf } from '#fleet/rollout/ring.ts';
import { isOpen, isZone, nextOpening } from '#fleet/rollout/window.ts';

const plan = (name: string, share: number | undefined, ...labels: string[]) => ({
  name,
  share,
  labels,
  soakSeconds: 0,
  windows: [],
});

test('labels come first, then a fair share that differs between rollouts', () => {
  const rings = [plan('a', 0.1), plan('b', undefined, 'web'), plan('c', 1)];
  const hosts = Array.from({ length: 10_000 }, (_, n) => ({ id: `host-${n}`, labels: n % 10 === 0 ? ['web'] : [] }));
  const counts = [0, 0, 0];
  for (const host of hosts) counts[ringOf('7', rings, host)!]!++;
  assert.equal(counts[1], 1000);
  assert.ok(Math.abs(counts[0]! - 900) < 100, String(counts));
  assert.notEqual(placeOf('7', 'x'), placeOf('8', 'x'));
  assert.equal(ringOf('7', [plan('b', undefined, 'web')], { id: 'x', labels: [] }), undefined);
});

test('plans that cannot work are refused with the reason', () => {
  assert.match(planProblem([])!, /at least one ring/);
  assert.match(planProblem([plan('a', undefined)])!, /neither labels nor a share/);
  assert.match(planProblem([plan('a', 0.5), plan('b', 0.5)])!, /above 0.5/);
  assert.match(planProblem([plan('a', Number.NaN)])!, /above 0/);
  assert.match(planProblem([plan('a', 0.5), plan('a', 1)])!, /two rings/);
  assert.equal(planProblem([plan('a', 0.1), plan('b', undefined, 'x'), plan('c', 1)]), undefined);
});

const night = { days: ['sat'], from: '22:00', to: '04:00', zone: 'Europe/Berlin' } as const;
const at = (text: string): number => Date.parse(text);

test('a window that crosses midnight, in its own time zone', () => {
  assert.ok(!isOpen([night], at('2026-12-05T20:59:00Z')));
  assert.ok(isOpen([night], at('2026-12-05T21:00:00Z')));
  assert.ok(isOpen([night], at('2026-12-06T02:59:00Z')));
  assert.ok(!isOpen([night], at('2026-12-06T03:00:00Z')));
  assert.equal(nextOpening([night], at('2026-12-06T03:00:00Z')), at('2026-12-12T21:00:00Z'));
  assert.ok(isOpen([], 0));
  assert.equal(nextOpening([{ ...night, days: [] }], 0), undefined);
});

test('daylight saving neither loses nor doubles a window', () => {
  const gap = { days: ['sun'], from: '02:30', to: '03:30', zone: 'Europe/Berlin' } as const;
  // 28 March 2027: 02:30 does not exist; the window is 03:30 summer time, so it would be empty and begins with the hour after the gap.
  assert.equal(nextOpening([gap], at('2027-03-27T12:00:00Z')), at('2027-03-28T01:30:00Z'));
  const twice = { days: ['sun'], from: '02:30', to: '04:00', zone: 'Europe/Berlin' } as const;
  assert.equal(nextOpening([twice], at('2027-10-30T12:00:00Z')), at('2027-10-31T00:30:00Z'));
  assert.ok(isOpen([twice], at('2027-10-31T02:59:00Z')));
});

test('time zones', () => {
  assert.ok(isZone('Europe/Berlin') && isZone('UTC'));
  assert.ok(!isZone('Mars/Base') && !isZone(''));
});
