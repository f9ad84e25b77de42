import assert from 'node:assert/strict';
import { test } from 'node:test';
import { once } from '#kpatch/base/once.ts';

test('made at the first call and kept, also if it is undefined; an error is not kept', () => {
  let calls = 0;
  const none = once(() => {
    calls++;
  });
  assert.equal(none(), undefined);
  none();
  assert.equal(calls, 1);
  const second = once(() => {
    if (++calls === 2) throw new Error('not yet');
    return calls;
  });
  assert.throws(second, /not yet/);
  assert.deepEqual([second(), second()], [3, 3]);
});
