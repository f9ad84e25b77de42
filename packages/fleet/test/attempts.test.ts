/** Guessing passwords, and looking at rollouts: limits that depend on time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attempts } from '#fleet/access/attempts.ts';
import { Watch } from '#fleet/server/watch.ts';

const MINUTE = 60_000;

/** How many of `count` wrong passwords may be tried, each from another address. */
function guessed(attempts: Attempts, account: string, count: number, now: number): number {
  let tried = 0;
  for (let at = 0; at < count; at++) {
    const address = `192.0.${at >> 8}.${at & 255}`;
    if (!attempts.may(account, address, now)) continue;
    tried++;
    attempts.failed(account, address, now);
  }
  return tried;
}

test('attack on fleet: one address guesses, and a thousand addresses guess the password of one account', () => {
  const attempts = new Attempts(120);
  let fromOne = 0;
  for (let count = 0; count < 100; count++) if (attempts.may(`user-${count}`, '198.51.100.1', 0)) fromOne++;
  assert.equal(fromOne, 10);
  assert.equal(guessed(attempts, 'petra', 1000, 0), 20);
  assert.equal(attempts.may('anna', '203.0.113.9', 0), true, 'other accounts are not concerned');
  assert.equal(guessed(attempts, 'petra', 1000, 3 * MINUTE), 1, 'one more after three minutes');
});

test('who signed in before from a network is not locked out by strangers who guess', () => {
  const attempts = new Attempts(120);
  attempts.succeeded('petra', '2001:db8:1:2::5');
  assert.equal(guessed(attempts, 'petra', 1000, 0), 20);
  assert.equal(attempts.may('petra', '2001:db8:1:2::77', 0), true, 'the same network');
  assert.equal(attempts.may('petra', '2001:db8:1:3::5', 0), false);
});

test('news brings one look soon, however many come; a look that fails is not the last one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const later = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    // What the timers began goes on before the next of them.
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  let looks = 0;
  const watch = new Watch(async () => {
    looks++;
    if (looks === 1) throw new Error('no database');
  });
  for (let count = 0; count < 100; count++) watch.soon();
  await later(1999);
  assert.equal(looks, 0);
  await later(1);
  assert.equal(looks, 1);
  watch.soon();
  await later(2000);
  assert.equal(looks, 2);
  await later(60_000);
  assert.equal(looks, 3, 'a minute without news');
  watch.soon();
  await watch.stop();
  watch.soon();
  await later(120_000);
  assert.equal(looks, 3, 'none after the end');
});
