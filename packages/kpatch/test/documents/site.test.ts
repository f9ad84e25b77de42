/** `make site`: every page, no link that leads nowhere; and the tutorial has commands that `make tour` can run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';

const root = join(import.meta.dirname, '../../../..');

test('the site has every page, and every link leads somewhere', () => {
  using folder = temporaryFolder('kpatch-test-');
  const args = [join(root, 'tools/site.ts'), folder.path];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^\d+ pages in /);
  const tutorial = readFileSync(join(folder.path, 'tutorial.html'), 'utf8');
  assert.match(tutorial, /<pre tabindex="0"><code>\$ kpatch build CVE-2026-53130\.patch/);
  assert.doesNotMatch(tutorial, /<script/);
  for (const image of tutorial.matchAll(/src="([^"]+)"/g)) assert.ok(existsSync(join(folder.path, image[1]!)));
});

test('the tutorial names the files of its example', () => {
  const text = readFileSync(join(root, 'docs/tutorial.md'), 'utf8');
  for (const file of ['CVE-2026-53130.patch', 'volume.sh']) {
    assert.ok(text.includes(file));
    assert.ok(existsSync(join(root, 'examples/tutorial', file)));
  }
  assert.ok((text.match(/^\$ kpatch /gm) ?? []).length >= 5);
});
