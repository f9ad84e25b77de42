/** A patch against the source of a prepared kernel, written by the test in terms of the text. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';

/** From the text of a file (empty if it does not exist) to what it shall be. */
export type Edits = Readonly<Record<string, (text: string) => string>>;

/** What `diff -u` prints for these changes of files of the tree. */
export function sourcePatch(tree: string, edits: Edits): string {
  using folder = temporaryFolder('kpatch-test-patch-');
  const [before, after] = [join(folder.path, 'before'), join(folder.path, 'after')];
  const parts = Object.entries(edits).map(([file, change]) => {
    const exists = existsSync(join(tree, file));
    const original = exists ? readFileSync(join(tree, file), 'latin1') : '';
    const changed = change(original);
    assert.ok(changed !== original, `the edit of ${file} finds nothing to change`);
    writeFileSync(before, original, 'latin1');
    writeFileSync(after, changed, 'latin1');
    const args = ['-u', '--label', exists ? `a/${file}` : '/dev/null', '--label', `b/${file}`, before, after];
    return spawnSync('diff', args, { encoding: 'latin1', maxBuffer: 1 << 26 }).stdout;
  });
  return parts.join('');
}
