import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verdictText } from '#kpatch/prove/proof-text.ts';

test('a verdict is in capitals, and names of modules stay as they are', () => {
  assert.equal(verdictText('proven'), 'PROVEN');
  assert.equal(verdictText('not proven'), 'NOT PROVEN');
  assert.equal(verdictText('proven except amd64_edac, 9pnet_xen'), 'PROVEN EXCEPT amd64_edac, 9pnet_xen');
});
