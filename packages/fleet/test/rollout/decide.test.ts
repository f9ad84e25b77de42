/** The state machine: order, soak time, windows, freeze, pause, halt, and the reason in every state. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, type Facts, type Freeze, type Ring, type Rollout } from '#fleet/rollout/decide.ts';
import { emptyGroup, judge, tally } from '#fleet/rollout/evidence.ts';
import { grant, grantAmong } from '#fleet/rollout/grant.ts';
import { planRings } from '#fleet/rollout/plan.ts';

const now = Date.parse('2026-12-01T12:00:00Z');
const HOUR = 3_600_000;
const calm = judge(tally(emptyGroup), { tried: 0, failed: 0, slow: 0 });
const halting = judge(tally(emptyGroup), { tried: 10, failed: 9, slow: 0 });
const suspicious = { ...calm, evidence: 30 };

const ring = (name: string, some: Partial<Ring> = {}): Ring => ({
  name,
  labels: [],
  share: 1,
  soakSeconds: 3600,
  windows: [],
  state: 'waiting',
  opened: undefined,
  settled: undefined,
  ...some,
});
const rollout = (rings: readonly Ring[], some: Partial<Rollout> = {}): Rollout => ({
  id: '1',
  state: 'running',
  reason: '',
  rings,
  watchSeconds: 86_400,
  ...some,
});
const facts = (patched: number, some: Partial<Facts> = {}): Facts => ({
  judgement: calm,
  hostDays: 1000,
  rings: [
    { hosts: 10, patched, away: 0, unable: 0 },
    { hosts: 90, patched: 0, away: 0, unable: 0 },
  ],
  freezes: [],
  ...some,
});
const codes = (decision: ReturnType<typeof decide>): string[] => decision.because.map(({ code }) => code);

test('the order: open, settle, soak, complete, the next ring, watch, finish', () => {
  const [one, two] = [ring('a'), ring('b')];
  assert.deepEqual(decide(rollout([one, two]), facts(0), now).actions, [{ do: 'open', ring: 0 }]);
  const open = { ...one, state: 'open', opened: now } as const;
  const waiting = decide(rollout([open, two]), facts(8), now);
  assert.deepEqual([waiting.actions, codes(waiting)], [[], ['moving']]);
  assert.match(waiting.because[0]!.text, /8 of 10 hosts .* begins with 9/);
  assert.deepEqual(decide(rollout([open, two]), facts(9), now).actions, [{ do: 'settle', ring: 0 }]);
  const soaking = { ...open, state: 'soaking', settled: now } as const;
  const soak = decide(rollout([soaking, two]), facts(10), now + HOUR / 2);
  assert.deepEqual([soak.actions, codes(soak), soak.because[0]!.until], [[], ['soaking'], now + HOUR]);
  assert.deepEqual(decide(rollout([soaking, two]), facts(10), now + HOUR).actions, [{ do: 'complete', ring: 0 }]);
  const done = { ...soaking, state: 'done' } as const;
  assert.deepEqual(decide(rollout([done, two]), facts(10), now).actions, [{ do: 'open', ring: 1 }]);
  const all = [done, { ...two, state: 'done', settled: now } as const];
  assert.deepEqual(codes(decide(rollout(all), facts(10), now)), ['watching']);
  assert.deepEqual(decide(rollout(all), facts(10), now + 24 * HOUR).actions, [{ do: 'finish' }]);
});

test('hosts that are away or cannot load the release do not keep a ring from settling', () => {
  const open = ring('a', { state: 'open', opened: now });
  const rings = [{ hosts: 10, patched: 5, away: 3, unable: 2 }];
  assert.deepEqual(decide(rollout([open]), facts(0, { rings }), now).actions, [{ do: 'settle', ring: 0 }]);
  const allAway = [{ hosts: 10, patched: 0, away: 10, unable: 0 }];
  assert.deepEqual(decide(rollout([open]), facts(0, { rings: allAway }), now).actions, []);
  const empty = [{ hosts: 0, patched: 0, away: 0, unable: 0 }];
  assert.deepEqual(decide(rollout([open]), facts(0, { rings: empty }), now).actions, [{ do: 'settle', ring: 0 }]);
});

test('a ring without hosts is skipped; without any host the first ring waits', () => {
  const none = { hosts: 0, patched: 0, away: 0, unable: 0 };
  const some = { ...none, hosts: 3 };
  const two = rollout([ring('a', { state: 'done' }), ring('b')]);
  assert.deepEqual(decide(two, facts(0, { rings: [none, some] }), now).actions, [{ do: 'open', ring: 1 }]);
  const first = rollout([ring('a'), ring('b')]);
  assert.deepEqual(decide(first, facts(0, { rings: [none, some] }), now).actions, [{ do: 'open', ring: 0 }]);
  const nobody = decide(first, facts(0, { rings: [none, none] }), now);
  assert.deepEqual([nobody.actions, codes(nobody)], [[], ['empty']]);
});

test('too few host-days or a suspicion keep the next ring closed, also after the soak time', () => {
  const soaking = ring('a', { state: 'soaking', opened: now, settled: now });
  const later = now + 2 * HOUR;
  const two = rollout([soaking, ring('b')]);
  assert.deepEqual(codes(decide(two, facts(10, { hostDays: 1 }), later)), ['few-host-days']);
  const held = decide(two, facts(10, { judgement: suspicious }), later);
  assert.deepEqual([held.actions, codes(held)], [[], ['suspicion']]);
});

test('the test halts a rollout in every state that has hosts with the release', () => {
  const soaking = ring('a', { state: 'soaking', opened: now, settled: now });
  for (const state of ['running', 'paused', 'finished'] as const) {
    const { actions, because } = decide(rollout([soaking], { state }), facts(10, { judgement: halting }), now);
    assert.equal(actions[0]?.do, 'halt');
    assert.match(because[0]!.text, /^The release harms hosts: 9 hosts of 10 reported failed loads/);
  }
  assert.deepEqual(decide(rollout([soaking], { state: 'draft' }), facts(0, { judgement: halting }), now).actions, []);
});

test('pause and freeze stop the order and say who and why', () => {
  const paused = rollout([ring('a')], { state: 'paused', reason: 'anna paused it: audit' });
  assert.deepEqual(decide(paused, facts(0), now), {
    actions: [],
    because: [{ code: 'paused', text: 'anna paused it: audit' }],
  });
  const freeze: Freeze = { from: now - HOUR, to: now + HOUR, reason: 'year-end', by: 'ben' };
  const frozen = decide(rollout([ring('a')]), facts(0, { freezes: [freeze] }), now);
  assert.deepEqual(frozen.actions, []);
  assert.match(frozen.because[0]!.text, /^ben froze all rollouts until 2026-12-01 13:00 UTC: year-end/);
  assert.equal(decide(rollout([ring('a')]), facts(0, { freezes: [freeze] }), now + HOUR).actions.length, 1);
});

test('a freeze of a group keeps its hosts as they are; the others go on, and a ring does not wait for it unless all of it is frozen', () => {
  const freeze: Freeze = { from: now - HOUR, to: undefined, reason: 'move', by: 'ben', group: 'site=b' };
  const open = rollout([ring('a', { state: 'open' })]);
  const hosts = (patched: number, frozen: number) =>
    facts(0, { freezes: [freeze], rings: [{ hosts: 10, patched, away: 0, unable: 0, frozen }] });
  const part = decide(open, hosts(4, 5), now);
  assert.match(
    part.because[0]!.text,
    /^Ring a: 4 of 10 hosts have the release, its soak time begins with 5 \(5 hosts frozen\)/,
  );
  assert.equal(decide(open, hosts(5, 5), now).actions.length, 1);
  const whole = decide(open, hosts(0, 10), now);
  assert.deepEqual(whole.actions, []);
  assert.equal(whole.because[0]!.text, 'ben froze the hosts with the label site=b until somebody lifts it: move');
  const offer = { ...open, release: 'new', previous: 'old' };
  const host = (...labels: string[]) => ({ id: 'h', labels, patch: 'old' });
  assert.equal(grant(offer, host('site=a'), [freeze], now).release, 'new');
  assert.deepEqual(grant(offer, host('site=b'), [freeze], now).because.code, 'frozen');
  const back = { ...offer, reason: 'anna', state: 'rolled back' as const };
  assert.equal(grant(back, { ...host('site=b'), patch: 'new' }, [freeze], now).release, 'old', 'a rollback goes on');
});

test('a plan can name the host-hours that must pass before the next ring', () => {
  const settled = { state: 'soaking', settled: now - 2 * HOUR, opened: now - 3 * HOUR, soakSeconds: 3600 } as const;
  const rings = (hostHours?: number) => [
    ring('a', { ...settled, ...(hostHours === undefined ? {} : { hostHours }) }),
    ring('b'),
  ];
  const seen = (hostDays: number) =>
    facts(0, {
      hostDays,
      rings: [
        { hosts: 10, patched: 10, away: 0, unable: 0 },
        { hosts: 240, patched: 0, away: 0, unable: 0 },
      ],
    });
  assert.equal(decide(rollout(rings()), seen(9), now).because[0]!.code, 'few-host-days');
  assert.equal(decide(rollout(rings(0)), seen(0), now).actions.length, 1);
  assert.match(decide(rollout(rings(48)), seen(1), now).because[0]!.text, /^1 of 2 host-days are observed/);
});

test('what one host may do: its ring, its window, freeze, halt, rollback', () => {
  const window = { days: ['tue'], from: '20:00', to: '22:00', zone: 'UTC' } as const;
  const rings = [
    ring('canary', { labels: ['canary'], share: undefined, state: 'open' }),
    ring('all', { windows: [window] }),
  ];
  const offer = { ...rollout(rings), release: 'new', previous: 'old' };
  const host = (...labels: string[]) => ({ id: 'h', labels, patch: 'old' });
  assert.equal(grant(offer, host('canary'), [], now).release, 'new');
  assert.deepEqual(grant(offer, host(), [], now).because.text, 'Ring all is not open yet.');
  const opened = { ...offer, rings: [rings[0]!, { ...rings[1]!, state: 'open' as const }] };
  assert.match(
    grant(opened, host(), [], now).because.text,
    /window of ring all is closed; it opens at 2026-12-01 20:00 UTC/,
  );
  assert.equal(grant(opened, host(), [], now + 9 * HOUR).release, 'new');
  const freeze: Freeze = { from: now, to: undefined, reason: 'x', by: 'ben' };
  assert.equal(grant(opened, host('canary'), [freeze], now).release, undefined);
  assert.equal(grant({ ...opened, state: 'halted' }, host('canary'), [], now).release, undefined);
  assert.equal(grant({ ...opened, state: 'halted' }, { ...host('canary'), patch: 'new' }, [], now).release, 'new');
  const back = { ...opened, reason: 'anna', rings: [{ ...rings[0]!, state: 'rolled back' as const }, rings[1]!] };
  assert.equal(grant(back, { ...host('canary'), patch: 'new' }, [freeze], now).release, 'old');
  const first = { ...back, previous: '' };
  assert.match(
    grant(first, { ...host('canary'), patch: 'new' }, [], now).because.text,
    /keep the patch until it is unloaded/,
  );
});

test('of several rollouts, the newest earlier release that finished holds where the newest waits', () => {
  const all = [ring('all', { state: 'done' })];
  const offer = (id: string, release: string, state: Rollout['state'], previous = '') => {
    const rings = state === 'finished' || state === 'halted' ? all : [ring('all')];
    return { ...rollout(rings, { id, state, reason: state }), release, previous };
  };
  const release = (offers: ReturnType<typeof offer>[], patch: string) =>
    grantAmong(offers, { id: 'h', labels: [], patch }, [], now)?.release;
  const [a, b, c] = [offer('1', 'a', 'finished'), offer('2', 'b', 'finished', 'a'), offer('3', 'c', 'running', 'b')];
  assert.equal(release([], ''), undefined);
  for (const had of ['', 'a', 'b', 'b unknown:other']) assert.equal(release([c, b, a], had), 'b', had);
  assert.equal(release([c, b, a], 'elsewhere'), undefined, 'a patch from elsewhere stays');
  const halted = offer('2', 'b', 'halted', 'a');
  for (const had of ['', 'a']) assert.equal(release([c, halted, a], had), 'a', had);
  assert.equal(release([c, halted, a], 'b'), 'b', 'a halt takes nothing away');
  const back = offer('2', 'b', 'rolled back', 'a');
  for (const had of ['', 'a', 'b']) assert.equal(release([c, back, a], had), 'a', had);
  assert.equal(release([back], ''), 'a');
  assert.equal(release([offer('2', 'a', 'halted'), a], ''), undefined, 'a later rollout of the same release halted');
});

test('planned rings grow tenfold at most, and the last has all hosts', () => {
  for (const hosts of [1, 4, 20, 100, 1000, 9999, 250_000]) {
    const sizes = planRings(hosts).map(({ share }) => share! * hosts);
    assert.equal(sizes.at(-1), hosts);
    sizes.slice(1).forEach((size, at) => {
      assert.ok(size <= 15 * sizes[at]! && size > sizes[at]!, `${hosts}: ${sizes}`);
    });
  }
});
