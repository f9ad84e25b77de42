import assert from 'node:assert/strict';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import { KpatchError } from '#kpatch/base/errors/error.ts';

/** Runs `work` and asserts that it ends with the catalogue's error `code`, all of whose texts are filled in. */
export async function provokes(code: ErrorCode, work: () => unknown): Promise<KpatchError> {
  let thrown: unknown;
  try {
    await work();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof KpatchError, `expected the error ${code}, got ${thrown}`);
  assert.equal(thrown.code, code);
  for (const text of [thrown.message, thrown.why, thrown.fix]) assert.doesNotMatch(text, /\{\w+\}/);
  return thrown;
}
