/** What kbuild exports is kept for each compiler and build root: a build with another one must not get it. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { kbuildVariables, separated } from '#kpatch/kbuild/kbuild.ts';
import { shareFolder } from '#kpatch/sandbox/user.ts';

test('variables that were kept for a build root are not used with the compiler of this machine', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const [tree, kept] = [join(folder.path, 'tree'), join(folder.path, 'kept')];
  for (const path of [tree, kept]) mkdirSync(path);
  writeFileSync(join(tree, 'Makefile'), 'export WORD := first\n');
  writeFileSync(join(tree, '.config'), 'CONFIG_X86_64=y\n');
  shareFolder(tree);
  const usual = join(kept, 'kbuild-variables.json');
  const ofRoot = { CC: 'gcc', KPATCH_BUILD_ROOT: '/a/build/root', WORD: 'root' };
  writeFileSync(usual, JSON.stringify(ofRoot));
  const local = { command: 'gcc', builtBy: '', makeArguments: [] };
  const read = await kbuildVariables(tree, local, kept);
  assert.deepEqual([separated(read).buildRoot, read.WORD], [undefined, 'first']);
  assert.deepEqual(await kbuildVariables(tree, { ...local, root: '/a/build/root' }, kept), ofRoot);
  // Both are kept.
  writeFileSync(join(tree, 'Makefile'), 'export WORD := second\n');
  assert.equal((await kbuildVariables(tree, local, kept)).WORD, 'first');
  assert.deepEqual(JSON.parse(readFileSync(usual, 'utf8')), ofRoot);
});
