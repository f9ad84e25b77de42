/** What a shield finds out from source text: conditions, early returns, callers, return values. No kernel is needed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { callersOf } from '#kpatch/shield/callers.ts';
import { conditionCode } from '#kpatch/shield/condition.ts';
import { earlyReturnProblems } from '#kpatch/shield/early-return.ts';
import { guardPatch } from '#kpatch/shield/guard.ts';
import { returnCode } from '#kpatch/shield/returns.ts';
import { functionNamed } from '#kpatch/source/c-functions.ts';
import { provokes } from '../provoke.ts';

const args = [
  { name: 'file', text: 'struct file *file' },
  { name: 'cmd', text: 'unsigned int cmd' },
  { name: 'arg', text: 'void __user *arg' },
];

function definition(text: string, name = 'f') {
  const found = functionNamed(text, name);
  assert.ok(found, `${name} is not found in the text`);
  return found;
}

describe('conditions', () => {
  test('a member behind a pointer is read only if no pointer on the way is NULL', () => {
    const code = conditionCode('file->f_inode->i_uid.val == 0 && cmd >= 3', args);
    assert.match(
      code,
      /IS_ERR_OR_NULL\(\(const void \*\)\(file\)\) \|\| IS_ERR_OR_NULL\(\(const void \*\)\(file->f_inode\)\)/,
    );
    assert.match(code, /&& cmd >= 3$/);
  });

  test('plain comparisons, constants and functions that only look are allowed', () => {
    for (const one of ['cmd == 0x5401', '!capable(CAP_SYS_ADMIN)', '_IOC_TYPE(cmd) == BIT(3) || arg == 0', 'cmd & 4'])
      assert.ok(conditionCode(one, args) !== '', one);
  });

  for (const [condition, problem] of [
    ['', /empty/],
    ['cmd = 1', /assigns/],
    ['cmd <<= 1', /assigns/],
    ['cmd++ > 3', /\+\+/],
    ['panic("x") || cmd', /only names/],
    ['kfree(file) || cmd', /calls kfree/],
    ['file->f_op->read(file)', /calls through/],
    ['arg->x == 1', /must not be read directly/],
    ['*file == 1', /follows a pointer/],
    ['&cmd != 0', /takes an address/],
    ['cmd == 1, 1', /comma/],
    ['(cmd == 1', /parentheses/],
    ['other->x == 1', /not an argument/],
    ['current->pid == cmd', /calling task/],
    ['1 == 1', /none of the arguments/],
    ['cmd == 1; panic()', /only names/],
  ] as const)
    test(`refused: ${condition}`, async () => {
      const error = await provokes('shield-condition', () => conditionCode(condition, args));
      assert.match(error.message, problem);
    });
});

describe('early returns', () => {
  const kinds = (text: string, name = 'f') => earlyReturnProblems(text, definition(text, name)).map(({ kind }) => kind);

  test('a function that checks, works and cleans up after itself may return early', () => {
    assert.deepEqual(
      kinds(`static int f(struct a *a, int n) {
  if (n > 4) return -EINVAL;
  mutex_lock(&a->lock);
  a->n = n;
  mutex_unlock(&a->lock);
  a_put(a);
  return 0;
}`),
      [],
    );
  });

  for (const [what, text, kind] of [
    [
      'releases a lock of its caller',
      'static int f(struct a *a) { a->n = 1; spin_unlock(&a->lock); return -EIO; }',
      'lock',
    ],
    ['keeps a lock for its caller', 'static int f(struct a *a) { down_write(&a->sem); return 0; }', 'lock'],
    ['is annotated in its definition', 'static int f(struct a *a) __releases(a->lock) { return g(a); }', 'lock'],
    [
      'is annotated in a declaration',
      'int f(struct a *a) __must_hold(&x);\nint f(struct a *a) { return g(a); }',
      'lock',
    ],
    [
      'frees its argument when it fails',
      'static int f(struct a *a) { if (a->n) { kfree(a); return -EIO; } return 0; }',
      'ownership',
    ],
    [
      'frees it in a function of the file',
      'static void g(struct a *b) { kfree(b); }\nstatic int f(struct a *a) { g(a); return -EIO; }',
      'ownership',
    ],
    ['is handed a socket buffer', 'static int f(struct sk_buff *skb) { return queue(skb); }', 'ownership'],
    ['is handed the place of a buffer', 'static bool f(struct sk_buff **skb) { return queue(*skb); }', 'ownership'],
  ] as const)
    test(`refused: it ${what}`, () => assert.deepEqual(kinds(text), [kind]));

  test('refused: by its name it undoes something', () => {
    assert.deepEqual(kinds('static int a_release(struct a *a) { return 0; }', 'a_release'), ['teardown']);
  });

  test('a reference that the function takes itself, and a buffer that it only reads, are no reason', () => {
    assert.deepEqual(kinds('static int f(struct a *a) { a_get(a); g(a->n); a_put(a); return -EIO; }'), []);
    assert.deepEqual(
      kinds('static int f(struct sk_buff *skb) { return nlmsg_len(nlmsg_hdr(skb)) > 3 ? -EINVAL : 0; }'),
      [],
    );
  });
});

describe('callers', () => {
  const own = 'static int f(int n) { return n ? -EIO : -EAGAIN; }\n';
  const look = (rest: string) => {
    const text = `${own}${rest}`;
    return callersOf([{ file: 'a/b.c', text }], definition(text), false);
  };

  test('callers that return or test the result understand errors', () => {
    const found = look(`static int g(void) { int err = f(1); if (err) return err; return f(2); }
static const struct ops o = { .ioctl = f };`);
    assert.deepEqual(found.problems, []);
    assert.deepEqual(
      found.callers.map(({ function: name, result }) => [name, result]),
      [
        ['g', 'tested'],
        ['g', 'returned'],
      ],
    );
    assert.deepEqual(found.references, [{ place: 'a/b.c:3', through: '.ioctl' }]);
    assert.deepEqual(found.own, ['-EAGAIN', '-EIO']);
  });

  for (const [what, rest, problem] of [
    ['ignores the result', 'static void g(void) { f(1); }', /ignores its result/],
    ['takes an error for a fault', 'static void g(void) { BUG_ON(f(1)); }', /fault of the kernel/],
    [
      'calls it with a lock that it does not release',
      'static int g(void) { spin_lock(&l); return f(1); }',
      /spin_lock\(&l\) held/,
    ],
    ['is the end of an object', 'static const struct ops o = { .release = f };', /\.release/],
    ['is a thread', 'static int g(void) { return PTR_ERR(kthread_run(f, 0, "x")); }', /kthread_run/],
    ['does not exist', '', /nothing in the source/],
  ] as const)
    test(`refused: a caller ${what}`, () =>
      assert.match(
        look(rest)
          .problems.map(({ text }) => text)
          .join('\n'),
        problem,
      ));

  test('the value must fit the type and what callers compare with', async () => {
    const found = look('static int g(void) { int r = f(1); if (r == -EIO) return 0; return r; }');
    const value = (text: string, kind: 'errno' | 'none' | 'truth' | 'pointer') =>
      returnCode(text, { kind, name: 'int' }, definition(own), found);
    assert.equal(value('-EPERM', 'errno'), '-EPERM');
    assert.equal(value('false', 'truth'), 'false');
    for (const [text, kind, problem] of [
      ['-EIO', 'errno', /a meaning of its own/],
      ['-EAGAIN', 'errno', /try again/],
      ['0', 'errno', /success/],
      ['5', 'errno', /not an error number/],
      ['-EPERM', 'none', /returns nothing/],
      ['-EPERM', 'pointer', /such a pointer/],
      ['-EPERM', 'truth', /true or false/],
    ] as const)
      assert.match((await provokes('shield-return', () => value(text, kind))).message, problem, text);
  });
});

test('the guard is one line: no line of the function moves', () => {
  const text = '#include <linux/fs.h>\n\nstatic int f(int n)\n{\n\treturn n;\n}\n';
  const patch = guardPatch(
    'a/b.c',
    text,
    { definition: definition(text), returns: '-EPERM', log: true, until: 5 },
    'A shield',
  );
  assert.match(patch, /^A shield\n---\n--- a\/a\/b\.c/);
  assert.match(patch, /^\+#line 2$/m);
  assert.match(
    patch,
    /^\+\{ int kpatch_shield .*ktime_get_real_seconds\(\) < 5LL.*printk_ratelimited.*return -EPERM;/m,
  );
});
