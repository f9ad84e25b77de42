import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capacity, type Need, needOf } from '#factory/queue/capacity.ts';

/** How many jobs with this need run at once. */
function atOnce(cores: number, mib: number, need: Need): number {
  const capacity = new Capacity({ cores, mib: () => mib });
  while (capacity.fits(need)) capacity.take(need);
  return capacity.running;
}

test('jobs at once follow processors and memory, and one always runs', () => {
  assert.equal(atOnce(4, 64_000, { cores: 1, mib: 1024 }), 4);
  assert.equal(atOnce(4, 2500, { cores: 1, mib: 1024 }), 2, 'memory for two');
  assert.equal(atOnce(1, 100, { cores: 8, mib: 8192 }), 1, 'a small machine still works');
});

test('what a job took is free after it; memory is measured while nothing runs', () => {
  let free = 4096;
  const capacity = new Capacity({ cores: 2, mib: () => free });
  const need = { cores: 1, mib: 2048 };
  assert.ok(capacity.fits(need));
  const first = capacity.take(need);
  free = 2048; // The first job has it now.
  assert.ok(capacity.fits(need));
  const second = capacity.take(need);
  assert.ok(!capacity.fits(need));
  first[Symbol.dispose]();
  assert.ok(capacity.fits(need));
  second[Symbol.dispose]();
});

test('two kernels are built side by side; a full proof has the machine for itself', () => {
  for (const cores of [2, 8, 64]) {
    assert.equal(atOnce(cores, 1e6, needOf('build', 'quick', cores)), 2);
    assert.equal(atOnce(cores, 1e6, needOf('prove', 'full', cores)), 1);
  }
});
