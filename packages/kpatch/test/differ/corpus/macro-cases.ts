/**
 * What macros of the kernel make beside code, for each use of them: it is included with its function, and its lines do not
 * count.
 */
import assert from 'node:assert/strict';
import type { Case } from './case.ts';
import { travels } from './verdict.ts';

const printing = 'int f(int a) { indexed_printk("value %d\\n", a); return use(a) + 1; }';

export const macroCases: readonly Case[] = [
  {
    name: 'the index of what a function prints travels with it',
    before: `${printing} int g(int a) { indexed_printk("other %d\\n", a); return use(a) + 3; }`,
    after: [['use(a) + 1', 'use(a) + 2']],
    expect: ['changed f'],
    check: ({ travelling }) => {
      assert.ok(travelling.some(({ name }) => name === '1 of .printk_index'));
      const strings = travelling.filter(({ kind }) => kind === 'string').map(({ name }) => name);
      assert.ok(strings.includes('"value %d\\n"') && !strings.includes('"other %d\\n"'), strings.join());
    },
  },
  {
    name: 'the index of what an inline function prints travels with its user',
    before:
      'static inline __attribute__((always_inline)) void h(int a) { indexed_printk("inner %d\\n", a); } int f(int a) { h(a); return use(a) + 1; } int g(int a) { indexed_printk("inner %d\\n", a); return use(a) + 3; }',
    after: [['use(a) + 1', 'use(a) + 2']],
    expect: ['changed f'],
    // The entry of g prints the same text, but it says that it is of g.
    check: ({ travelling }) => assert.ok(travelling.some(({ name }) => name === '1 of .printk_index')),
  },
  {
    name: 'an index that only one function has before',
    before: 'int f(int a) { return use(a) + 1; } int g(int a) { indexed_printk("other %d\\n", a); return use(a) + 3; }',
    after: [['int f(int a) { ', 'int f(int a) { indexed_printk("value %d\\n", a); ']],
    expect: ['changed f'],
    check: travels('.printk_index'),
  },
  {
    name: 'tags of allocations on other lines',
    before: 'int f(int a) { return use2(tagged_alloc(a), 1); } int g(int a) { return use2(tagged_alloc(a + 1), 2); }',
    after:
      '\n\nint f(int a) { return use2(tagged_alloc(a), 1); } int g(int a) { return use2(tagged_alloc(a + 1), 2); }',
    expect: [],
  },
  {
    name: 'a tag of an allocation travels with its function',
    before: 'int f(int a) { return use2(tagged_alloc(a), 1); } int g(int a) { return use2(tagged_alloc(a + 1), 2); }',
    after: [['tagged_alloc(a), 1', 'tagged_alloc(a), 7']],
    expect: ['changed f'],
    check: ({ travelling }) => assert.equal(travelling.filter(({ section }) => section === 'alloc_tags').length, 1),
  },
  {
    name: 'an allocation that comes before another',
    before: 'int f(int a) { return use(a) + 1; } int g(int a) { return use2(tagged_alloc(a + 1), 2); }',
    after: [['use(a) + 1', 'use2(tagged_alloc(a), 1)']],
    expect: ['changed f'],
    check: ({ travelling }) => {
      assert.equal(travelling.filter(({ section }) => section === 'alloc_tags').length, 1);
      assert.equal(travelling.filter(({ name }) => /_alloc_tag_cntr/.test(name)).length, 1);
    },
  },
];
