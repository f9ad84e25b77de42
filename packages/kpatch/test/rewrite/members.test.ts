/** Rules for members that a patch adds or removes: shadow variables, padding, members that stay. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { members, merged, rewritten, structure } from './rewriting.ts';

describe('shadow-member', () => {
  const code = (member: string, use: string, free = 'static void end(struct s *s) { kfree(s); }', more = ''): string =>
    `#include <linux/slab.h>
struct s {
	int a;
${member}};
${more}
static struct s *begin(void) { struct s *s = kzalloc(sizeof(*s), GFP_KERNEL); ${use.startsWith('init:') ? use.slice(5) : ''} return s; }
static int use(struct s *s) { ${use.startsWith('init:') ? 'return 0;' : use} }
${free}
`;
  const before = code('', 'return 0;');
  const member = '\tunsigned int n;\n';

  test('reads, writes and frees become calls, and the structure lacks the member', () => {
    const { patch, outcome, text } = rewritten(
      before,
      code(member, 's->n++; s->n += 2; s->n = 3; return s->n;'),
      'shadow-member',
    );
    assert.equal(outcome, 'applied', text);
    assert.match(patch, /klp_shadow_free\(s, \d+, NULL\); kfree\(s\);/);
    assert.match(
      patch,
      /kpatch_set_s_n\(s, kpatch_get_s_n\(s\) \+ 1\); kpatch_set_s_n\(s, kpatch_get_s_n\(s\) \+ \(2\)\); kpatch_set_s_n\(s, 3\);/,
    );
    assert.match(patch, /return kpatch_get_s_n\(s\);/);
    assert.doesNotMatch(patch, /^\+\tunsigned int n;/m);
    assert.match(patch, /klp_shadow_free_all/);
  });

  test('objects from before the load have what new ones are given', () => {
    const { patch, outcome } = rewritten(
      before,
      code(member, 'init:s->n = 7;').replace('return 0; }', 'return s->n; }'),
      'shadow-member',
    );
    assert.equal(outcome, 'applied');
    assert.match(patch, /return value \? \*value : 7;/);
  });

  test('the identifier is the same in every patch', () => {
    const id = (use: string): string =>
      /klp_shadow_free\(s, (\d+)/.exec(rewritten(before, code(member, use), 'shadow-member').patch)![1]!;
    assert.equal(id('return s->n;'), id('s->n = 1; return s->n + 1;'));
  });

  for (const [what, after, problem] of [
    ['a lock', code('\tspinlock_t n;\n', 'spin_lock(&s->n); return 0;'), /not a number or pointer/],
    ['its address is taken', code(member, 'return f(&s->n);'), /address is taken/],
    ['an assignment within an expression', code(member, 'return (s->n = 3) > 2;'), /inside of an expression/],
    ['a path that is not a variable', code(member, 'return s->next->n;'), /not read|not known/],
    ['nothing frees it', code(member, 'return s->n;', 'static void end(void) { }'), /frees/],
    ['a static object', code(member, 'return s->n;', undefined, 'static struct s one;'), /static/],
    ['a copy of the object', code(member, 'memcpy(t, s, sizeof(*s)); return s->n;'), /copied as a whole/],
    [
      'a value that cannot be derived',
      code(member, 'init:s->n = next++;').replace('return 0; }', 'return s->n; }'),
      /cannot be derived/,
    ],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text, patch } = rewritten(before, after, 'shadow-member');
      assert.equal(outcome, 'refused', patch);
      assert.match(text, problem);
      assert.doesNotMatch(patch, /klp_shadow/);
    });
});

describe('padding', () => {
  const add = (line: string): string => members.replace('\tlong size;', `${line}\n\tlong size;`);
  const moved = (line: string, ...rest: Parameters<typeof structure> extends [string, ...infer R] ? R : never) =>
    merged(structure(members), structure(add(line), ...rest), ['padding']);

  test('a new member goes into the smallest hole that has room, and the patch says so', () => {
    const { patch, notes } = moved('\tu32 seen;');
    assert.deepEqual(
      notes.map(({ rule, name, outcome }) => [rule, name, outcome]),
      [['padding', 's.seen', 'applied']],
    );
    assert.match(notes[0]!.assumes, /starts as zeros/);
    assert.match(patch, /^ \tint last;\n\+\tu32 seen;\n\+\tchar kpatch_padding_seen\[0\];\n };$/m);
    assert.doesNotMatch(patch, /^-\t/m, 'nothing else changes');
  });

  test('a type that names a number is one', () => {
    const { patch, notes } = moved('\thandle_t seen;');
    assert.equal(notes[0]!.outcome, 'applied', notes[0]!.text);
    assert.match(patch, /^\+\thandle_t seen;$/m);
    assert.match(moved('\tdm_block_t seen;').notes[0]!.text, /no padding of 8 bytes/);
  });

  test('two members share a hole, a comment stays with its member', () => {
    const { patch } = merged(
      structure(members),
      structure(members.replace('\tstruct s *next;', '\tu8 a;\n\tspinlock_t lock;\n\tstruct s *next;')),
      ['padding'],
    );
    assert.match(patch, /semicolon \*\/\n\+\tspinlock_t lock;/);
    assert.match(patch, /int last;\n\+\tu8 a;/);
  });

  test('accesses stay as the patch has them', () => {
    const { patch, notes } = moved('\tbool busy;', 'if (xchg(&s->busy, true)) return s->next->busy; return 1;');
    assert.equal(notes[0]!.outcome, 'applied');
    assert.match(patch, /xchg\(&s->busy, true\)/);
  });

  for (const [what, line, rest, problem] of [
    ['no room', '\tlong more;', [], /no padding of 8 bytes/],
    ['a type that needs initialisation', '\tstruct list_head list;', [], /no plain member/],
    ['a count that 0 is no valid value of', '\trefcount_t users;', [], /no plain member/],
    ['a type without a known size', '\tother_t other;', [], /no plain member/],
    ['a bit field', '\tunsigned int bit : 1;', [], /no plain member/],
    ['memory that is not cleared', '\tu32 seen;', ['return 0;', 'kmalloc'], /kmalloc does not clear/],
    ['no allocation at all', '\tu32 seen;', ['return 0;', 'find'], /no allocation is seen/],
    ['an object on the stack', '\tu32 seen;', ['struct s copy; return f(&copy);'], /on the stack in use/],
    ['a copy', '\tu32 seen;', ['*s = *s->next; return 0;'], /copied member by member/],
  ] as const)
    test(`refused: ${what}`, () => {
      const { notes, patch } = moved(line, ...rest);
      assert.equal(notes[0]?.outcome, 'refused', patch);
      assert.match(notes[0]!.text, problem);
      assert.doesNotMatch(patch, /kpatch_padding/);
    });

  test('refused: functions that prepare an object give it another value', () => {
    const { notes } = merged(
      structure(members),
      `${structure(add('\tu32 seen;'))}static void s_probe(struct s *s) { s->seen = 7; }\n`,
      ['padding'],
    );
    assert.match(notes[0]!.text, /s_probe sets seen to "7"/);
  });

  test('a member of another structure with the same name is not taken for it', () => {
    const other = 'static void t_init(struct t *t) { t->seen = 7; }\n';
    const { notes } = merged(`${structure(members)}${other}`, `${structure(add('\tu32 seen;'))}${other}`, ['padding']);
    assert.equal(notes[0]?.outcome, 'applied', notes[0]!.text);
  });

  test('objects of each processor start as zeros', () => {
    const { notes } = merged(
      structure(members, 'return 0;', 'find'),
      `${structure(add('\tseqcount_t seen;'), 'return 0;', 'find')}DEFINE_PER_CPU_ALIGNED(struct s, all);\n`,
      ['padding'],
    );
    assert.equal(notes[0]?.outcome, 'applied', notes[0]!.text);
  });

  test('refused: another file has an object on its stack, also inside of another structure', () => {
    const outer = 'struct outer {\n\tint a;\n\tstruct s inner;\n};\nint f(void) { struct outer o; return g(&o); }\n';
    const { notes } = merged(
      structure(members),
      structure(add('\tu32 seen;')),
      ['padding'],
      [{ file: 'a/c.c', text: outer }],
    );
    assert.match(notes[0]!.text, /struct outer is on the stack in f \(a\/c\.c\)/);
  });

  test('what has no room is left to shadow-member', () => {
    const code = (more: string, use: string): string =>
      `${structure(more, use)}static void end(struct s *s) { kfree(s); }\n`;
    const { patch, notes } = merged(
      code(members, 'return 0;'),
      code(add('\tu32 seen;\n\tlong more;'), 's->more = 1; return s->seen;'),
      ['padding', 'shadow-member'],
    );
    assert.deepEqual(
      notes.map(({ rule, outcome, name }) => [rule, outcome, name]),
      [
        ['padding', 'applied', 's.seen'],
        ['shadow-member', 'applied', 's.more'],
      ],
    );
    assert.match(patch, /kpatch_set_s_more\(s, 1\);/);
    assert.doesNotMatch(patch, /^\+\tlong more;/m);
  });
});

describe('kept-member', () => {
  test('a removed member stays, and nothing moves', () => {
    const { patch, notes } = merged(structure(members), structure(members.replace('\tlong size;\n', '')), [
      'kept-member',
    ]);
    assert.equal(notes[0]?.outcome, 'applied');
    assert.match(notes[0].assumes, /copes with 0/);
    assert.doesNotMatch(patch, /long size/);
  });
  test('that no object is on a stack does not matter then, nor that another structure may keep its layout', () => {
    const other = (type: string): string => `struct t {\n\t${type} n;\n};\n`;
    const { notes } = merged(
      other('int') + structure(members),
      other('const int') + structure(members.replace('\tlong size;\n', '')),
      ['stack-structure', 'kept-member', 'padding'],
    );
    assert.deepEqual(
      notes.map(({ rule, name, outcome }) => [rule, name, outcome]),
      [['kept-member', 'struct s: size', 'applied']],
    );
  });
  test('members in another order keep the old one', () => {
    const { patch, notes } = merged(
      structure(members),
      structure(members.replace('\tlong size;\n\tint last;\n', '\tint last;\n\tlong size;\n')),
      ['kept-member'],
    );
    assert.equal(notes[0]?.text, 'its members keep their old order');
    assert.equal(patch, 'Rewritten by kpatch rewrite: kept-member\n---\n');
  });
  test('refused: old code would find a list of zeros after an unload', () => {
    const { notes } = merged(structure(`${members}\tstruct list_head list;\n`), structure(members), ['kept-member']);
    assert.equal(notes[0]?.outcome, 'refused');
    assert.match(notes[0].text, /struct list_head list/);
  });
});
