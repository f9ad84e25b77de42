/** Rules for structures whose layout changes: those that live on stacks, and locks that all objects share. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rewriteFiles } from '#kpatch/rewrite/rewrite.ts';
import { merged } from './rewriting.ts';

describe('stack-structure', () => {
  const source = (
    more: string,
    body = '\tstruct args args = { .a = 1 };\n\n\treturn use(&args);\n',
    rest = '',
  ): string =>
    `struct args {\n\tlong a;\n${more}};\n${rest}static int use(struct args *args)\n{\n\treturn args->a;\n}\nint call(void)\n{\n${body}}\n`;
  const on = (before: string, after: string, names = ['stack-structure', 'padding', 'shadow-member']) =>
    rewriteFiles([{ file: 'a/b.c', before, after }], names);

  test('the structure may change, and the patch says why', () => {
    const { patch, notes } = on(source(''), source('\tlong b;\n'));
    assert.deepEqual(
      notes.map(({ rule, name, outcome }) => [rule, name, outcome]),
      [['stack-structure', 'args.b', 'applied']],
    );
    assert.match(notes[0]!.assumes, /handed to another task/);
    assert.match(patch, /\+\tlong b;\n\+\tchar kpatch_on_stacks\[0\];/);
  });
  test('a member that changes its size, or goes', () => {
    for (const [was, now] of [
      ['\tu8 b;\n', '\tu64 b;\n'],
      ['\tu8 b;\n', ''],
      // A name like that of a type.
      ['\tint device, free_head;\n', '\tu64 device, free_head;\n'],
    ] as const)
      assert.equal(on(source(was), source(now)).notes[0]?.outcome, 'applied');
  });
  for (const [what, more, body, rest, problem] of [
    [
      'an object is allocated',
      '',
      '\tstruct args *args = kzalloc(sizeof(*args), GFP_KERNEL);\n\treturn use(args);\n',
      '',
      /kzalloc gives an object/,
    ],
    ['an object is static', '', undefined, 'static struct args all;\n', /static/],
    ['a structure contains one', '', undefined, 'struct outer {\n\tstruct args inner;\n};\n', /struct outer contains/],
    ['a pointer is kept', '', '\tstruct args args;\n\tq->args = &args;\n\treturn 0;\n', '', /is kept/],
    ['a pointer is kept by name', '', '\tstruct args args;\n\tq.args = &args;\n\treturn 0;\n', '', /is kept/],
    ['a pointer is kept by all', '', '\tstruct args args;\n\tall = (void *)&args;\n\treturn 0;\n', '', /is kept/],
    [
      'an initializer keeps it',
      '',
      '\tstruct args args;\n\tstruct q q = { .data = &args };\n\treturn 0;\n',
      '',
      /is kept/,
    ],
    [
      'another processor gets it',
      '',
      '\tstruct args args;\n\ton_each_cpu(use_all, &args, 1);\n\treturn use(&args);\n',
      '',
      /on_each_cpu may give an object/,
    ],
    [
      'another task gets what a pointer leads to',
      '',
      '\tstruct args args;\n\treturn use(&args);\n',
      'static int other(struct args *mine)\n{\n\treturn stop_machine(use_all, (void *)mine, NULL);\n}\n',
      /stop_machine may give an object/,
    ],
    ['a list has it', '\tstruct list_head list;\n', undefined, '', /known to other tasks/],
    ['lists have it', '\tstruct list_head a, list[2];\n', undefined, '', /known to other tasks/],
    ['somebody waits for it', '\tstruct completion done;\n', undefined, '', /known to other tasks/],
    ['there is none', '', '\treturn 0;\n', '', /no object .* is on a stack/],
  ] as const)
    test(`refused: ${what}`, () => {
      const { notes, patch } = on(source(more, body, rest), source(`${more}\tlong b;\n`, body, rest), [
        'stack-structure',
      ]);
      assert.equal(notes[0]?.outcome, 'refused', patch);
      assert.match(notes[0].text, problem);
      assert.doesNotMatch(patch, /kpatch_on_stacks/);
    });
});

describe('shared-lock', () => {
  const source = (lock: string, use: string, more = ''): string => `struct s {
	long a;
${lock}};
static int work(struct s *s, struct s *t)
{
	${use}
	return 0;
}
${more}`;
  const lock = '\tstruct mutex lock;\n';
  const shared = (after: string, before = source('', 'f(s);')) => merged(before, after, ['shared-lock']);
  const held = 'mutex_lock(&s->lock); f(s); mutex_unlock(&s->lock);';

  test('all objects take one lock, which callbacks make and free', () => {
    const init = 'static void start(struct s *s) { mutex_init(&s->lock); }\n';
    const { patch, notes } = shared(source(lock, held, init));
    assert.deepEqual(
      notes.map(({ rule, name, outcome }) => [rule, name, outcome]),
      [['shared-lock', 's.lock', 'applied']],
    );
    assert.match(patch, /mutex_lock\(kpatch_lock_s_lock\); f\(s\); mutex_unlock\(kpatch_lock_s_lock\);/);
    assert.match(patch, /start\(struct s \*s\) \{ do \{ \} while \(0\); \}/, 'no object prepares it again');
    assert.match(patch, /^\+static struct mutex \*kpatch_lock_s_lock;$/m);
    assert.match(patch, /klp_shadow_get_or_alloc\(NULL, \d+/);
    assert.match(patch, /klp_shadow_free\(NULL, \d+, NULL\);/);
    assert.doesNotMatch(patch, /^\+\tstruct mutex lock;/m);
  });

  test('a structure of a header: one file has the lock', () => {
    const header = (more: string): string => `struct s {\n\tlong a;\n${more}};\n`;
    const code = (use: string): string => `static void work(struct s *s)\n{\n\t${use}\n}\n`;
    const { patch, notes } = rewriteFiles(
      [
        { file: 'a/b.h', before: header(''), after: header(lock) },
        { file: 'a/b.c', before: code('f(s);'), after: code(held) },
      ],
      ['shared-lock'],
    );
    assert.equal(notes[0]?.outcome, 'applied', notes[0]!.text);
    assert.match(patch, /^\+extern struct mutex \*kpatch_lock_s_lock;$/m);
    assert.match(patch, /^\+struct mutex \*kpatch_lock_s_lock;$/m);
    assert.ok(patch.indexOf('--- a/a/b.c') < patch.indexOf('KPATCH_PRE_PATCH_CALLBACK'));
  });

  for (const [what, use, more, problem] of [
    ['two objects', 'mutex_lock(&s->lock); mutex_lock(&t->lock);', '', /several objects \(s, t\)/],
    [
      'a call that takes it again',
      'mutex_lock(&s->lock); deep(t); mutex_unlock(&s->lock);',
      'static void deep(struct s *s) { mutex_lock(&s->lock); mutex_unlock(&s->lock); }\n',
      /work takes it and calls deep/,
    ],
    ['another use', `${held} remember(&s->lock);`, '', /remember, which is not known/],
    [
      'nobody takes it',
      'f(s);',
      'static void start(struct s *s) { mutex_init(&s->lock); }\n',
      /no function .* takes it/,
    ],
  ] as const)
    test(`refused: ${what}`, () => {
      const { notes, patch } = shared(source(lock, use, more));
      assert.equal(notes[0]?.outcome, 'refused', patch);
      assert.match(notes[0].text, problem);
      assert.doesNotMatch(patch, /kpatch_lock/);
    });

  test('a lock of another structure with the same name stays', () => {
    const other = 'static void also(struct o *o) { mutex_lock(&o->lock); mutex_unlock(&o->lock); }\n';
    const { patch, notes } = shared(source(lock, held, other), source('', 'f(s);', other));
    assert.equal(notes[0]?.outcome, 'applied', notes[0]!.text);
    assert.doesNotMatch(patch, /^-static void also/m);
  });
});
