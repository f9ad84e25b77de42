/** Lists and sets of BTF ids, as include/linux/btf_ids.h of 5.7 to 6.12 writes them: numbers are filled in at link time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { provokes } from '../provoke.ts';
import { differ, functionsOf } from './fixture.ts';

const push = '.pushsection .BTF_ids,\\"a\\"\\n';
const id = (kind: string, name: string, counter: number, flags = ''): string => {
  const symbol = `__BTF_ID__${kind}__${name}__${counter}`;
  return `asm("${push}.local ${symbol}\\n.type ${symbol}, STT_OBJECT\\n.size ${symbol}, 4\\n${symbol}:\\n.zero 4\\n${flags}.popsection");\n`;
};
const list = (name: string): string =>
  `asm("${push}.local ${name}\\n${name}:\\n.popsection"); extern unsigned ${name}[];\n`;
const set = (name: string, size: number): string =>
  `${list(name)}asm("${push}.local __BTF_ID__set${size === 8 ? 8 : ''}__${name}\\n__BTF_ID__set${size === 8 ? 8 : ''}__${name}:\\n.zero ${size}\\n.popsection");\n`;
const flags = (value: number): string => `.long ${value}\\n`;

const f = (n: number): string => `int f(int a) { return use(a) + ${n}; }\n`;
const user = (n: number): string => `int g(int a) { return ids[1] + use(a) + ${n}; }\n`;
const lists = list('ids') + id('struct', 'sock', 17) + id('struct', 'task_struct', 18);
const sets = set('deny', 4) + id('func', 'one', 20) + id('func', 'two', 21);
const kfuncs = set('kfuncs', 8) + id('func', 'take', 30, flags(1)) + id('func', 'drop', 31, flags(2));

test('other counters, and a set in another order, are no change', () => {
  const again = lists.replace('sock__17', 'sock__217').replaceAll('task_struct__18', 'task_struct__2184712');
  assert.equal(
    differ(lists + f(1) + user(1), again.replaceAll('sock__17', 'sock__217') + f(1) + user(1)).status,
    'unchanged',
  );
  const turned = set('deny', 4) + id('func', 'two', 21) + id('func', 'one', 22);
  assert.equal(differ(sets + f(1), turned + f(1)).status, 'unchanged');
});

test('a function that uses a list reaches that of the kernel', () => {
  const result = differ(sets + lists + user(1), sets + lists + user(2));
  assert.deepEqual(functionsOf(result), ['changed g']);
  assert.ok(result.references.some(({ name }) => name === 'ids'));
  assert.ok(!result.travelling.some(({ section }) => section === '.BTF_ids'));
});

test('an entry that comes, goes, or changes its kind or flags is a change that no live patch can make', async () => {
  const cases: [string, string, RegExp][] = [
    [sets, sets + id('func', 'schedule', 22), /func schedule is new in deny/],
    [sets + id('func', 'schedule', 22), sets, /func schedule is gone from deny/],
    [lists, list('ids') + id('struct', 'sock', 17) + id('union', 'task_struct', 18), /union task_struct is new in ids/],
    [lists, list('ids') + id('struct', 'task_struct', 18) + id('struct', 'sock', 17), /ids has another order/],
    [kfuncs, kfuncs.replace('.long 2', '.long 4'), /func drop is new in kfuncs/],
  ];
  for (const [before, after, how] of cases) {
    const error = await provokes('diff-list-changed', () => differ(before + f(1), after + f(2)));
    assert.match(error.message, how);
  }
});

test('a new list is refused, and the structure that refers to a list behind it is not blamed', async () => {
  const table = 'const struct { unsigned *ids; } table = { ids + 1 };\n';
  const fresh = list('fresh') + id('struct', 'sock', 40);
  const error = await provokes('diff-list-changed', () =>
    differ(lists + table + f(1), `${fresh}${lists}${table}int f(int a) { return use(a) + fresh[0]; }`),
  );
  assert.match(error.message, /\.BTF_ids changed \(fresh is new\)/);
});
