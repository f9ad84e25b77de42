/** The differ's verdict on a pair of the corpus, compared with what the case expects. */

import assert from 'node:assert/strict';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffResult } from '#kpatch/differ/options.ts';
import { familyOf } from '#kpatch/differ/parts/symbols/names.ts';
import { optionsFor } from '../fixture.ts';
import type { Case } from './case.ts';
import type { Target } from './targets.ts';

/** Fails where the differ says anything else than the case expects. */
export function checkCase(one: Case, target: Target, original: Uint8Array, patched: Uint8Array): void {
  const { object = 'vmlinux', options = {}, kernel = {}, elsewhere = [], exports = [] } = one;
  const setting = {
    object,
    options,
    kernel,
    elsewhere,
    exports: Object.fromEntries(exports.map((name) => [name, { module: 'vmlinux', gpl: true }])),
  };
  const expected = typeof one.expect === 'function' ? one.expect(target) : one.expect;
  const found = verdict(original, patched, setting);
  if (typeof expected === 'string') assert.equal(found.refusal, expected, found.text);
  else {
    assert.equal(found.refusal, undefined, found.text);
    assert.deepEqual(found.functions, [...expected].sort(), found.text);
    const status = expected.length > 0 ? 'changed' : (one.status ?? 'unchanged');
    assert.equal(found.result!.status, status);
    for (const note of one.notes ?? []) {
      assert.ok(
        found.result!.notes.some((text) => note.test(text)),
        found.result!.notes.join('; '),
      );
    }
    one.check?.(found.result!, target);
    if (status === 'changed') assert.ok(intermediateObject(found.result!.patch()).length > 0);
  }
}

interface Verdict {
  readonly refusal: string | undefined;
  readonly functions: readonly string[];
  readonly text: string;
  readonly result: DiffResult | undefined;
}

function verdict(original: Uint8Array, patched: Uint8Array, setting: Parameters<typeof optionsFor>[1]): Verdict {
  try {
    const result = diff(original, patched, optionsFor(original, setting));
    const functions = new Set(result.functions.map(({ kind, name }) => `${kind} ${familyOf(name)}`));
    const reasons = result.functions.flatMap(({ name, reasons: list }) => list.map(({ text }) => `${name}: ${text}`));
    return {
      refusal: undefined,
      functions: [...functions].sort(),
      text: [...reasons, ...result.notes].join('\n'),
      result,
    };
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return { refusal: error.code, functions: [], text: `${error.message}\n${error.detail ?? ''}`, result: undefined };
  }
}

/** A check that something of a section is in the module. */
export function travels(section: string): (result: DiffResult) => void {
  return ({ travelling }) =>
    assert.ok(
      travelling.some(({ section: name }) => name === section),
      `nothing of ${section} travels`,
    );
}
