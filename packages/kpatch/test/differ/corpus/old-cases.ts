/**
 * Tables as kernels before 5.14 have them. Nothing tells the differ which kernel the objects are of: it is always given
 * 6.1, and the relocations have to show the form of the entries.
 */

import assert from 'node:assert/strict';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { type Case, onArch } from './case.ts';

const x86 = onArch('x86-64');
const power = onArch('ppc64le');

/** A paravirt site as kernels until 5.0 have it: the last one of the section has 12 of 16 bytes. */
const paravirt =
  '#define OLD_PARAVIRT(type) asm volatile("771: call *pv_ops\\n772:\\n.pushsection .parainstructions,\\"a\\"\\n.balign 8\\n.quad 771b\\n.byte " #type "\\n.byte 772b-771b\\n.short 1\\n.popsection")\n';
/** A jump label of three addresses. */
const branch =
  '#define OLD_BRANCH(key) ({ __label__ yes, out; int r = 0; asm goto("1: " JUMP_NOP "\\n.pushsection __jump_table,\\"aw\\"\\n.balign 8\\n" QUAD " 1b, %l[yes], %c0\\n.popsection" : : "i"(key) : : yes); goto out; yes: r = 1; out: r; })\n';
const keys = 'struct static_key one __read_mostly, two __read_mostly;\n';
const bug =
  '#define OLD_BUG(flags) asm volatile("1: " TRAP "\\n.pushsection __bug_table,\\"aw\\"\\n2: " QUAD " 1b, %c0\\n.short %c1, %c2\\n.org 2b+24\\n.popsection" : : "i"(__FILE__), "i"(__LINE__), "i"(flags))\n';

/** A counter that is checked (4.13 to 4.15): the code for the overflow is in a section without symbols. */
const refcount =
  '#define REFCOUNT(x) asm volatile("incl %0\\n js 111f\\n.pushsection .text..refcount\\n111: lea %0,%%rcx\\n112: .byte 0x0f,0xff\\n.popsection\\n113:\\n.pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long 112b - .\\n.long 113b - .\\n.long ex_handler_refcount - .\\n.popsection" : "+m"(x) : : "cx")\n';

export const oldCases: readonly Case[] = [
  {
    name: 'the last paravirt site lacks its padding, and belongs to what changes',
    before: `${paravirt}int f(int a) { OLD_PARAVIRT(3); return use(a) + 1; } int h(int a) { OLD_PARAVIRT(3); return use(a) + 2; }`,
    after: [['+ 2', '+ 3']],
    expect: ['changed h'],
    on: x86,
    check: ({ travelling }) => {
      const [site] = travelling.filter(({ section }) => section === '.parainstructions');
      assert.deepEqual([site?.name, site?.size], ['1 of .parainstructions', 16]);
    },
  },
  {
    name: 'a paravirt site is the last one in one version only',
    before: `${paravirt}int f(int a) { OLD_PARAVIRT(3); return use(a) + 1; } int h(int a) { return use(a) + 2; }`,
    after: [['int h(int a) { ', 'int h(int a) { OLD_PARAVIRT(3); ']],
    expect: ['changed h'],
    on: x86,
  },
  {
    name: 'the type of a paravirt site without padding',
    before: `${paravirt}int f(int a) { OLD_PARAVIRT(3); return use(a) + 1; } int h(int a) { OLD_PARAVIRT(3); return use(a) + 2; }`,
    after:
      'int f(int a) { OLD_PARAVIRT(3); return use(a) + 1; } int h(int a) { OLD_PARAVIRT(4); return use(a) + 2; }'.replace(
        /^/,
        paravirt,
      ),
    expect: ['changed h'],
    on: x86,
  },
  ...[2, 3, 4].map(
    (count): Case => ({
      name: `${count} jump labels of 24 bytes`,
      before: `${keys}${branch}int f(int a) { return ${'OLD_BRANCH(&one) + '.repeat(count - 1)} use(a); } int h(int a) { return OLD_BRANCH(&two) + use(a) + 1; }`,
      after: [['+ 1', '+ 2']],
      expect: ['changed h'],
      on: onArch('x86-64', 'ppc64le'),
      check: ({ travelling, references }) => {
        const [label] = travelling.filter(({ section }) => section === '__jump_table');
        assert.deepEqual([label?.name, label?.size], ['1 of __jump_table', 24]);
        assert.ok(references.some(({ name }) => name === 'two'));
      },
    }),
  ),
  {
    name: 'two jump labels of 24 bytes change places with others, and the keys stay as they are',
    before: `${keys}${branch}int f(int a) { return OLD_BRANCH(&one) + use(a); } int h(int a) { return OLD_BRANCH(&two) + use(a) + 1; }`,
    after: [
      ['int f(int a) { return OLD_BRANCH(&one) + use(a); }', 'int f(int a) { return OLD_BRANCH(&two) + use(a); }'],
      ['int h(int a) { return OLD_BRANCH(&two)', 'int h(int a) { return OLD_BRANCH(&one)'],
    ],
    expect: ['changed f', 'changed h'],
    on: onArch('x86-64', 'ppc64le'),
  },
  ...[2, 3].map(
    (count): Case => ({
      name: `${count} bug entries of 24 bytes on other lines`,
      before: `${bug}int f(int a) { ${'OLD_BUG(1); '.repeat(count - 1)} return use(a) + 1; } int h(int a) { OLD_BUG(1); return use(a) + 3; }`,
      after: [
        ['return use(a) + 1', 'return use(a) + 2'],
        ['int h(int a)', '\n\nint h(int a)'],
      ],
      expect: ['changed f'],
      on: onArch('x86-64', 'ppc64le'),
    }),
  ),
  {
    name: 'alternatives of 13 bytes',
    before: `#define OLDER(old, new, feature) asm volatile("771: " old "\\n772:\\n.pushsection .altinstructions,\\"a\\"\\n.long 771b - .\\n.long 774f - .\\n.word " #feature "\\n.byte 772b-771b\\n.byte 775f-774f\\n.byte 0\\n.popsection\\n.pushsection .altinstr_replacement,\\"ax\\"\\n774: " new "\\n775:\\n.popsection" : : : "memory")
int f(int a) { OLDER(OLD, NEW1, 4); OLDER(OLD, NEW2, 5); return use(a) + 1; } int h(int a) { OLDER(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['NEW2, 5', 'NEW1, 5']],
    expect: ['changed f'],
    on: x86,
  },
  ...[1, 2, 3].map(
    (count): Case => ({
      name: `${count} entries of the exception table of 8 bytes`,
      before: `#define OLD_PROBE(p) ({ int v = 0; asm volatile("1: movl %1,%0\\n2: nop\\n4: nop\\n.pushsection __ex_table,\\"a\\"\\n.balign 8\\n.long 1b - .\\n.long 2b - .\\n.popsection" : "+r"(v) : "m"(*(p))); v; })
#define MOVED_PROBE(p) ({ int v = 0; asm volatile("1: movl %1,%0\\n2: nop\\n4: nop\\n.pushsection __ex_table,\\"a\\"\\n.balign 8\\n.long 1b - .\\n.long 4b - .\\n.popsection" : "+r"(v) : "m"(*(p))); v; })
int f(int *p) { return ${'OLD_PROBE(p) + '.repeat(count - 1)} OLD_PROBE(p); } int h(int *p) { return OLD_PROBE(p) + 1; }`,
      after: [['OLD_PROBE(p) + 1', 'MOVED_PROBE(p) + 1']],
      expect: ['changed h'],
      on: x86,
    }),
  ),
  ...[1, 2].map(
    (count): Case => ({
      name: `${count} entries of the exception table with addresses`,
      before: `#define OLD_PROBE(p, to) ({ int v = 0; asm volatile("1: lwz %0,%1\\n2: nop\\n4: nop\\n.pushsection __ex_table,\\"a\\"\\n.balign 8\\n.8byte 1b\\n.8byte " #to "\\n.popsection" : "+r"(v) : "m"(*(p))); v; })
int f(int *p) { return ${'OLD_PROBE(p, 2b) + '.repeat(count - 1)} OLD_PROBE(p, 2b); } int h(int *p) { return OLD_PROBE(p, 2b) + 1; }`,
      after: [['OLD_PROBE(p, 2b) + 1', 'OLD_PROBE(p, 4b) + 1']],
      expect: ['changed h'],
      on: power,
    }),
  ),
  {
    name: 'the overflow of a counter travels with the function that jumps to it',
    before: `${refcount}struct s { int a, n; }; int f(struct s *s) { REFCOUNT(s->n); return use(1); } int h(struct s *s) { REFCOUNT(s->n); return use(2); }`,
    after: [['use(2)', 'use(3)']],
    expect: ['changed h'],
    on: x86,
    check: ({ travelling, patch }) => {
      const pieces = travelling.filter(({ section }) => section === '.text..refcount');
      assert.equal(pieces.length, 1);
      const { sections } = readObject(intermediateObject(patch()), 'out.o');
      // lea and the trap after it in one piece, which the entry of the exception table names in its middle.
      const [piece] = sections.filter(({ name }) => name === '.text..refcount');
      assert.deepEqual([...piece!.data], [0x48, 0x8d, 0x4f, 0x04, 0x0f, 0xff]);
      const [entry] = sections.find(({ name }) => name === '__ex_table')!.relocations;
      assert.equal(entry?.symbol?.section, piece);
      assert.equal(entry!.symbol!.value + entry!.addend, 4);
    },
  },
  {
    name: 'the overflow of another counter changes the function that jumps to it',
    before: `${refcount}struct s { int a, n, m; }; int f(struct s *s) { REFCOUNT(s->n); return use(1); } int h(struct s *s) { REFCOUNT(s->n); return use(2); } int k(struct s *s) { REFCOUNT(s->a); return use(3); }`,
    after: [['int h(struct s *s) { REFCOUNT(s->n)', 'int h(struct s *s) { REFCOUNT(s->m)']],
    expect: ['changed h'],
    on: x86,
  },
  {
    name: 'a counter comes before others: what was there keeps its meaning',
    before: `${refcount}struct s { int a, n; }; int f(struct s *s) { return use(1); } int h(struct s *s) { REFCOUNT(s->n); return use(2); }`,
    after: [['return use(1)', 'REFCOUNT(s->a); return use(1)']],
    expect: ['changed f'],
    on: x86,
  },
  {
    name: 'sizes of entries that contradict the relocations are said and not believed',
    before: `${keys}${branch}${bug}${paravirt}int f(int a) { OLD_PARAVIRT(3); OLD_BUG(1); return OLD_BRANCH(&one) + use(a); } int h(int a) { OLD_BUG(1); OLD_PARAVIRT(3); return OLD_BRANCH(&two) + use(a) + 1; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed h'],
    on: x86,
    options: { entrySizes: { __jump_table: 16, __bug_table: 16, '.parainstructions': 12 } },
    notes: [
      /^__jump_table: the entries have 24 bytes in this object, not 16 as given$/,
      /^__bug_table: the entries have 24 bytes in this object, not 16 as given$/,
      /^\.parainstructions: the entries have 16 bytes/,
    ],
    check: ({ patch }) => assert.ok(intermediateObject(patch()).length > 0),
  },
];
