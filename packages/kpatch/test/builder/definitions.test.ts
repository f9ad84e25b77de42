/** New names that one object of a patch defines and another needs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireResolved } from '#kpatch/builder/rules/definitions.ts';
import type { DiffResult } from '#kpatch/differ/options.ts';
import { provokes } from '../provoke.ts';

type Given = Parameters<typeof requireResolved>[0][number];

const difference = (object: string, file: string, defined: string[], unresolved: string[]): Given => ({
  unit: { object: file, owners: [], through: [] },
  object,
  result: { defined, unresolved } as unknown as DiffResult,
});
const requirements = async (module: string): Promise<Set<string>> => new Set(module === 'xt_mark' ? ['x_tables'] : []);
const check = (...differences: Given[]): Promise<void> => requireResolved(differences, 'x', requirements);

test('what another difference defines is there: in vmlinux for all, in a module for itself and those that need it', async () => {
  await check(difference('vmlinux', 'fs/a.o', ['made'], []), difference('tun', 'drivers/tun.o', [], ['made']));
  await check(difference('tun', 'drivers/a.o', ['made'], []), difference('tun', 'drivers/b.o', [], ['made']));
  await check(difference('x_tables', 'net/x.o', ['made'], []), difference('xt_mark', 'net/m.o', [], ['made']));
});

test('symbols-unresolved: what no symbol, no export and no other difference defines', async () => {
  const error = await provokes('symbols-unresolved', () => check(difference('vmlinux', 'fs/a.o', [], ['nowhere'])));
  assert.equal(error.detail, 'fs/a.o needs nowhere');
});

test('symbols-of-module: new code of a module that need not be loaded when it is called', async () => {
  const defined = difference('tun', 'drivers/tun.o', ['made'], []);
  await provokes('symbols-of-module', () => check(defined, difference('vmlinux', 'fs/a.o', [], ['made'])));
  const error = await provokes('symbols-of-module', () => check(defined, difference('veth', 'v.o', [], ['made'])));
  assert.match(error.message, /veth refers to made, which the patch adds to tun/);
});
