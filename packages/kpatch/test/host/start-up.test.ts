/** What commands of a host load of the program: records of machines hold decoders and relocations, which only builds need. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { fixture } from '../compatibility/fixtures.ts';

const main = join(import.meta.dirname, '../../cli/main.ts');

/** The files of kpatch that a command loads, relative to its folder. */
async function loadedBy(...args: readonly string[]): Promise<string[]> {
  using folder = temporaryFolder('kpatch-test-');
  const [hook, list] = [join(folder.path, 'hook.mjs'), join(folder.path, 'list')];
  writeFileSync(
    hook,
    `import { appendFileSync } from 'node:fs'; import { registerHooks } from 'node:module';
registerHooks({ load(url, context, next) { appendFileSync(${JSON.stringify(list)}, url + '\\n'); return next(url, context); } });`,
  );
  await run(process.execPath, ['--import', hook, main, ...args]);
  const files = readFileSync(list, 'utf8').matchAll(/packages\/kpatch\/(\S+\.ts)$/gm);
  return [...files].map(([, file]) => file!);
}

test('load reads the header of a module and the names of machines, but no record of one', async () => {
  const files = await loadedBy('load', '--dry-run', fixture('livepatch_cmdline.ko'));
  assert.ok(files.includes('host/acceptance/foreign.ts'), files.join(' '));
  assert.deepEqual(
    files.filter((file) => /^platform\/\w+\//.test(file)),
    [],
  );
});
