/** Rules for code: jump labels and initialisation. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rewritten } from './rewriting.ts';

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
