/** Options of `kpatch build` that exclude or need each other: wrong usage is status 2, before anything is done. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

function code(...words: readonly string[]): string {
  const program = join(import.meta.dirname, '../../../../bin/kpatch');
  const { status, stdout } = spawnSync(program, ['build', 'x.patch', ...words, '--json'], { encoding: 'utf8' });
  assert.equal(status, 2, stdout);
  return (JSON.parse(stdout) as { error: { code: string } }).error.code;
}

test('sign-incomplete: a key without its certificate, and the other way round', () => {
  assert.equal(code('--sign-key', 'a.pem'), 'sign-incomplete');
  assert.equal(code('--sign-cert', 'a.pem'), 'sign-incomplete');
});

test('usage: the parts of a kernel, and those of a module from outside, belong together', () => {
  assert.equal(code('--image', 'a', '--headers', 'b'), 'usage');
  assert.equal(code('--image', 'a', '--headers', 'b', '--source', 'c', '-k', '6.1.0-9-amd64'), 'usage');
  assert.equal(code('--oot-module', 'a.ko'), 'usage');
  assert.equal(code('--oot-module-src', 'a'), 'usage');
  assert.equal(code('--patch-version', '0'), 'usage');
  assert.equal(code('-j', 'many'), 'usage');
});
