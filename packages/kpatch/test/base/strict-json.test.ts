import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStrict } from '#kpatch/base/strict-json.ts';

test('a member that is there twice is found, however its name is written', () => {
  for (const text of [
    '{"a":1,"a":2}',
    String.raw`{"a":1,"\u0061":2}`,
    String.raw`{"\\":1,"\\":2}`,
    String.raw`{"a\"":{"x":1},"a\"":2}`,
    '[{"b":[]},{"c":{"d":1,"e":2,"d":3}}]',
    String.raw`{"x":"\\","y":"\\\"","x":1}`,
  ]) {
    assert.throws(() => parseStrict(text), /is there twice/, text);
  }
});

test('the same name in other objects, colons and braces in strings, and backslashes before quotes are no fault', () => {
  for (const text of [
    '{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    '{"a":"b:c","b":"{a","c":"]}"}',
    String.raw`{"a":"\\","b":"\\\"","c":"\"a\":1"}`,
    '"alone"',
    '1',
  ]) {
    assert.deepEqual(parseStrict(text), JSON.parse(text), text);
  }
});

test('a string of a million backslashes takes no longer than its length', () => {
  const text = JSON.stringify({ a: '\\"'.repeat(500_000) });
  const begun = process.cpuUsage();
  parseStrict(text);
  const { user } = process.cpuUsage(begun);
  assert.ok(user < 2_000_000, `${user} microseconds`);
});
