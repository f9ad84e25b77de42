import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { bashCompletion, fishCompletion, zshCompletion } from '../../../../tools/packages/completion.ts';
import { commandShapes } from '../../../../tools/packages/program.ts';

/** Completes the last of `words` in bash, with a `kpatch` that lists what a machine could have. */
async function completions(...words: string[]): Promise<string[]> {
  using folder = temporaryFolder('kpatch-test-');
  const fake = join(folder.path, 'kpatch');
  writeFileSync(
    fake,
    `#!/bin/sh
case "$*" in
  list) printf 'Loaded patch modules:\\none [enabled]\\n\\nInstalled patch modules:\\ntwo (6.1.0-57-amd64)\\n' ;;
  'kernel list') echo '6.1.0-57-amd64    ready       debian 6.1.192-3' ;;
esac
`,
  );
  chmodSync(fake, 0o755);
  writeFileSync(join(folder.path, 'completion'), bashCompletion(await commandShapes()));
  const script = `. ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kpatch; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], {
    cwd: folder.path,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder.path}:${process.env.PATH}` },
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter((word) => word !== '' && !['completion', 'kpatch'].includes(word));
}

test('bash completes commands, options, names of patches, releases, checks and formats', async () => {
  assert.deepEqual(await completions('kpatch', 'uni'), ['uninstall']);
  assert.deepEqual(await completions('kpatch', 'cache', 'prune', '--m'), ['--max-size']);
  assert.deepEqual(await completions('kpatch', 'unload', 'o'), ['one']);
  assert.deepEqual(await completions('kpatch', 'uninstall', 't'), ['two']);
  assert.deepEqual(await completions('kpatch', 'build', '-k', '6.1.0-57-a'), ['6.1.0-57-amd64']);
  assert.deepEqual(await completions('kpatch', 'prove', '--kernel', '6.1.0-57-a'), ['6.1.0-57-amd64']);
  assert.deepEqual(await completions('kpatch', 'kernel', 'show', '6'), ['6.1.0-57-amd64']);
  assert.deepEqual(await completions('kpatch', 'prove', '--check', 'run'), ['run-pre']);
  assert.deepEqual(await completions('kpatch', 'package', '--format', ''), ['deb', 'rpm']);
  assert.deepEqual(await completions('kpatch', 'doctor', '--for', 'pro'), ['prove']);
});

test('zsh and fish know the same words', async () => {
  const shapes = await commandShapes();
  const zsh = zshCompletion(shapes);
  assert.match(zsh, /--format\[[^\]]*\]:value:\{compadd -- deb rpm\}/);
  assert.match(zsh, /--check\[[^\]]*\]:value:\{compadd -- fits run-pre /);
  const fish = fishCompletion(shapes);
  assert.match(fish, /-l format -r -f -a "deb rpm"/);
  assert.match(fish, /-l kernel -r -f -a "\(begin; ls \/lib\/modules; kpatch kernel list/);
  for (const [shell, text] of [
    ['zsh', zsh],
    ['fish', fish],
  ] as const) {
    using folder = temporaryFolder('kpatch-test-');
    const file = join(folder.path, 'completion');
    writeFileSync(file, text);
    const { status, stderr, error } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    // Neither shell is needed to build kpatch; where one is installed, it reads the file.
    if (error === undefined) assert.equal(status, 0, `${shell}: ${stderr}`);
  }
});
