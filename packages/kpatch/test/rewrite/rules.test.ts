/** Each rule on the smallest source that shows it: what it makes, and what it refuses. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { rulesAgainst } from '#kpatch/rewrite/patches.ts';
import { rewriteFiles, rules } from '#kpatch/rewrite/rewrite.ts';
import type { SourceText, Surroundings } from '#kpatch/rewrite/surroundings.ts';

function rewritten(before: string, after: string, rule: string, file = 'a/b.c') {
  const { patch, notes } = rewriteFiles([{ file, before, after }], [rule]);
  const [note] = notes;
  return { patch, notes, outcome: note?.outcome, text: note?.text ?? '', assumes: note?.assumes ?? '' };
}

describe('initial-data', () => {
  test('a callback sets the variable if it has the old value, and sets it back', () => {
    const { patch, outcome, assumes } = rewritten('static int limit = 4;\n', 'static int limit = 8;\n', 'initial-data');
    assert.equal(outcome, 'applied');
    assert.match(assumes, /readers cope/);
    assert.doesNotMatch(patch, /^-static int limit/m);
    assert.match(patch, /if \(READ_ONCE\(limit\) == \(4\)\)\n\+\t\tWRITE_ONCE\(limit, 8\)/);
    assert.match(patch, /KPATCH_POST_UNPATCH_CALLBACK/);
  });
  for (const [what, before, after, problem] of [
    [
      'read-only after boot',
      'static int limit __ro_after_init = 4;\n',
      'static int limit __ro_after_init = 8;\n',
      /read-only/,
    ],
    ['not a constant', 'static int limit = 4;\n', 'static int limit = f(8);\n', /not a plain constant/],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text } = rewritten(before, after, 'initial-data');
      assert.equal(outcome, 'refused');
      assert.match(text, problem);
    });
  test('a constant, an array and an unchanged variable are left alone', () => {
    assert.deepEqual(rewritten('static const int a = 4;\n', 'static const int a = 5;\n', 'initial-data').notes, []);
    assert.deepEqual(rewritten('static int a = 4;\n', 'static int a = 4;\n', 'initial-data').notes, []);
  });
});

describe('operations', () => {
  const table = (target: string): string => `static const struct ops o = {\n\t.read = ${target},\n};\n`;
  const old = 'static int old_read(struct a *a, int n)\n{\n\treturn 1;\n}\n';
  const now = 'static int new_read(struct a *a, int n)\n{\n\treturn 2;\n}\n';
  test('the old function calls the new one', () => {
    const { patch, outcome } = rewritten(old + table('old_read'), old + now + table('new_read'), 'operations');
    assert.equal(outcome, 'applied');
    assert.match(patch, /^\+\ttypeof\(new_read\(a, n\)\) result = new_read\(a, n\);$/m);
    assert.match(patch, /^\+\tbarrier\(\);$/m, 'a call, not a jump, so that the patch stays on the stack');
    assert.doesNotMatch(patch, /^[+-]\t\.read/m);
  });
  test('values that are no functions are not its business', () => {
    const flags = (value: string): string =>
      `static const struct ops o = {\n\t.read = old_read,\n\t.fast = ${value},\n};\n`;
    assert.deepEqual(rewritten(old + flags('true'), old + flags('false'), 'operations').notes, []);
  });
  test('an old function that the patch removes comes back', () => {
    const { patch, outcome } = rewritten(old + table('old_read'), now + table('new_read'), 'operations');
    assert.equal(outcome, 'applied');
    assert.match(patch, /old_read\(struct a \*a, int n\)/);
  });
  test('functions that call the old one by its name go on calling it', () => {
    const caller = 'int g(void) { return old_read(0, 1); }\n';
    const better = old.replace('return 1', 'return 3');
    const { patch, outcome, text } = rewritten(
      old + table('old_read') + caller,
      better + now + table('new_read') + caller,
      'operations',
    );
    assert.equal(outcome, 'applied', text);
    assert.match(text, /what calls it by its name calls kpatch_own_old_read$/);
    assert.match(patch, /^\+static int kpatch_own_old_read\(struct a \*a, int n\)$/m);
    assert.match(patch, /^\+\treturn 3;$/m);
    assert.match(patch, /^\+int g\(void\) \{ return kpatch_own_old_read\(0, 1\); \}$/m);
    assert.match(patch, /^\+\ttypeof\(new_read\(a, n\)\) result = new_read\(a, n\);$/m);
  });
  for (const [what, before, after, problem] of [
    [
      'another table uses it',
      `${old}${table('old_read')}${table('old_read').replace(' o ', ' p ')}`,
      `${old}${now}${table('new_read')}${table('old_read').replace(' o ', ' p ')}`,
      /other tables/,
    ],
    [
      'new code uses its address',
      `${old}${table('old_read')}`,
      `${old}${now}${table('new_read')}void *h(void) { return old_read; }\n`,
      /address/,
    ],
    [
      'its address is used',
      `${old}${table('old_read')}void *h = old_read;\n`,
      `${old}${now}${table('new_read')}void *h = old_read;\n`,
      /address/,
    ],
    ['it is defined elsewhere', table('other'), `${now}${table('new_read')}`, /not defined in this file/],
    [
      'it is not static',
      old.replace('static ', '') + table('old_read'),
      old.replace('static ', '') + now + table('new_read'),
      /not static/,
    ],
    [
      'there was no function',
      `static const struct ops o = {\n\t.open = op,\n};\n`,
      `${now}static const struct ops o = {\n\t.open = op,\n\t.read = new_read,\n};\n`,
      /no function there/,
    ],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text } = rewritten(before, after, 'operations');
      assert.equal(outcome, 'refused');
      assert.match(text, problem);
    });
});

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

describe('id-table', () => {
  const source = (entries: string, more = ''): string => `static const struct driver_info known = { 1 };
static const struct usb_device_id ids[] = {
	{ USB_DEVICE(0x1234, 1) },
${entries}	{ }
};
MODULE_DEVICE_TABLE(usb, ids);
${more}
static struct usb_driver wheel_driver = {
	.name = "wheel",
	.id_table = ids,
};
`;
  const before = source('');

  test('a callback points the driver to a new table, and back', () => {
    const { patch, outcome, text } = rewritten(before, source('\t{ USB_DEVICE(0x1234, 2) },\n'), 'id-table');
    assert.equal(outcome, 'applied', text);
    assert.match(patch, /^\+static const struct usb_device_id kpatch_new_ids\[\] = \{$/m);
    assert.match(patch, /^\+\tsmp_store_release\(&wheel_driver\.id_table, kpatch_copy_ids\);$/m);
    assert.match(patch, /^\+\tWRITE_ONCE\(wheel_driver\.id_table, ids\);$/m);
    assert.doesNotMatch(patch, /^-\t/m, 'the old table stays');
    assert.ok(patch.indexOf('return -ENOMEM') < patch.indexOf('smp_store_release'), 'memory first');
  });
  test('a changed entry too, and a pointer to what was there before', () => {
    const { patch, outcome } = rewritten(
      source('\t{ USB_DEVICE(0x1234, 2) },\n'),
      source('\t{ USB_DEVICE(0x1234, 2), .driver_info = (unsigned long)&known },\n'),
      'id-table',
    );
    assert.equal(outcome, 'applied');
    assert.match(patch, /\+\t\{ USB_DEVICE\(0x1234, 2\), \.driver_info = \(unsigned long\)&known \},/);
  });
  for (const [what, after, problem] of [
    [
      'an entry points to data of the patch',
      `static const struct driver_info fresh = { 2 };\n${source('\t{ USB_DEVICE(1, 2), .driver_info = (unsigned long)&fresh },\n')}`,
      /keep a pointer to fresh/,
    ],
    [
      'a function counts on the place of an entry',
      source('\t{ USB_DEVICE(1, 2) },\n', 'static int probe(const struct usb_device_id *id) { return id - ids; }'),
      /probe uses it too/,
    ],
  ] as const)
    test(`refused: ${what}`, () => {
      const { outcome, text, patch } = rewritten(before, after, 'id-table');
      assert.equal(outcome, 'refused', patch);
      assert.match(text, problem);
    });
  test('a table that only functions read is left to them, and comments change nothing', () => {
    const read = (entries: string): string => source(entries).replace('.id_table = ids,', '');
    assert.deepEqual(rewritten(read(''), read('\t{ USB_DEVICE(1, 2) },\n'), 'id-table').notes, []);
    assert.deepEqual(rewritten(before, source('\t/* more to come */\n'), 'id-table').notes, []);
  });
});

/** A structure with a hole behind `flag` and four bytes at its end, as the compiler lays it out. */
const holed: Surroundings = {
  layout: (struct) =>
    struct === 's'
      ? {
          size: 32,
          members: [
            { name: 'flag', start: 0, end: 1 },
            { name: 'next', start: 8, end: 16 },
            { name: 'size', start: 16, end: 24 },
            { name: 'last', start: 24, end: 28 },
          ],
        }
      : undefined,
  sizeOf: (type) => ({ spinlock_t: 4, seqcount_t: 4, 'enum e': 4, refcount_t: 4 })[type],
  numberSize: (type) => ({ dm_block_t: 8, handle_t: 4 })[type],
  users: () => [],
};

function merged(before: string, after: string, names: readonly string[], more: readonly SourceText[] = []) {
  const files = [{ file: 'a/b.c', before, after }];
  const users = (): SourceText[] => [{ file: 'a/b.c', text: after, before }, ...more];
  return rewriteFiles(files, names, { ...holed, users });
}

const structure = (members: string, use = 'return 0;', make = 'kzalloc'): string => `#include <linux/slab.h>
struct s {
${members}};
static struct s *begin(void) { struct s *s = ${make}(sizeof(*s), GFP_KERNEL); return s; }
static int use(struct s *s) { ${use} }
`;
const members = '\tbool flag;\t/* a comment; with a semicolon */\n\tstruct s *next;\n\tlong size;\n\tint last;\n';

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

describe('jump-label', () => {
  test('only changed functions test the key at run time', () => {
    const { patch, outcome } = rewritten(
      'int f(void) { return static_branch_unlikely(&key); }\nint g(void) { return static_branch_likely(&key); }\n',
      'int f(void) { return !static_branch_unlikely(&key); }\nint g(void) { return static_branch_likely(&key); }\n',
      'jump-label',
    );
    assert.equal(outcome, 'applied');
    assert.match(patch, /^\+int f\(void\) \{ return !static_key_enabled\(&key\); \}$/m);
    assert.doesNotMatch(patch, /^-int g/m);
  });
});

describe('init-part', () => {
  test('a better error path of initialisation is left out', () => {
    const { patch, outcome, text } = rewritten(
      'static int __init start(void) { if (a()) goto out; return 0; out: return -EIO; }\n',
      'static int __init start(void) { if (a()) goto out; return 0; out: return -ENOMEM; }\n',
      'init-part',
    );
    assert.equal(outcome, 'applied');
    assert.match(text, /left out/);
    assert.equal(patch.includes('-ENOMEM'), false);
  });
  test('so is more cleaning up after a failure, and a check of a result', () => {
    const { outcome, text } = rewritten(
      'static int __init start(void) { int ret; ret = a(); if (ret) return ret; return 0; }\n',
      'static int __init start(void) { int ret; ret = a(); if (ret) goto out; return 0; out: b(); return ret; }\n',
      'init-part',
    );
    assert.equal(outcome, 'applied', text);
  });
  test('and an allocation that is looked at', () => {
    const { outcome, text } = rewritten(
      'static int __init start(void) { p = a(); use(p); return 0; }\n',
      'static int __init start(void) { p = a(); if (!p) { pr_err("no"); return -ENOMEM; } use(p); return 0; }\n',
      'init-part',
    );
    assert.equal(outcome, 'applied', text);
  });
  for (const [what, before, after] of [
    ['does more', 'return a();', 'register_b(&b); return a();'],
    ['does more in a condition', 'return a();', 'if (register_b(&b)) return -EIO; return a();'],
    ['does less', 'register_b(&b); return a();', 'return a();'],
    ['stores another value', 'limit = 4; return 0;', 'limit = 8; return 0;'],
    ['ends early', 'limit = 4; return 0;', 'if (!cpu_has(X)) return 0; limit = 4; return 0;'],
    ['calls the same with other arguments', 'set(4); return 0;', 'set(8); return 0;'],
    [
      'does more after an early end',
      'int ret; if (off) return 0; ret = a(); return ret;',
      'int ret; if (off) return 0; ret = a(); b(); return ret;',
    ],
    ['stores another value under a condition', 'if (fips) rank += 2; return 0;', 'if (fips) rank += 4; return 0;'],
    ['counts', 'a(); return 0;', 'a(); users++; return 0;'],
    ['has another condition', 'if (good) { a(); } return 0;', 'if (good && !odd) { a(); } return 0;'],
    ['does it more often', 'while (n) { a(); } return 0;', 'while (n > 1) { a(); } return 0;'],
  ] as const)
    test(`refused: initialisation that ${what}`, () => {
      const { outcome } = rewritten(
        `static int __init start(void) { ${before} }\n`,
        `static int __init start(void) { ${after} }\n`,
        'init-part',
      );
      assert.equal(outcome, 'refused');
    });
});

test('every rule has a section in docs/rewrite.md, and the build knows which refusals rules help against', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/rewrite.md'), 'utf8');
  for (const { name } of rules) assert.match(page, new RegExp(`^### ${name}$`, 'm'));
  assert.deepEqual(rulesAgainst({ code: 'diff-layout-changed', detail: undefined }), [
    'stack-structure',
    'kept-member',
    'padding',
    'shared-lock',
    'shadow-member',
  ]);
  assert.deepEqual(rulesAgainst({ code: 'patch-empty', detail: 'no change' }), []);
  const several =
    '2 changes cannot be live patched:\nx changed [diff-init-changed], a.o\ny grows [diff-data-size], a.o';
  assert.deepEqual(rulesAgainst({ code: 'diff-init-changed', detail: several }), ['init-part', 'id-table']);
});
