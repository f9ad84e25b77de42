/** The cache of prepared kernels that kpatch 0.1 left: described, listed, found incomplete, removed. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { fixture, release, unpack } from './fixtures.ts';

const main = join(import.meta.dirname, '../../cli/main.ts');

async function kpatch(
  cache: string,
  ...args: string[]
): Promise<{ status: number; document: Record<string, unknown> }> {
  const env = { XDG_CACHE_HOME: cache };
  const { status, stdout, stderr } = await run(process.execPath, [main, ...args, '--json'], { env });
  assert.equal(stderr, '');
  return { status: status ?? -1, document: JSON.parse(stdout.toString()) as Record<string, unknown> };
}

const then = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(fixture(`json/${name}.json`), 'utf8')) as Record<string, unknown>;

test('a prepared kernel of 0.1 is listed and shown; that its files are gone is noticed; it is removed whole', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  const cache = folder.path;
  unpack('cache', join(cache, 'kpatch'));
  const kernels = then('kernel-list').kernels as { release: string }[];
  assert.deepEqual(
    (await kpatch(cache, 'kernel', 'list')).document.kernels,
    kernels.filter((one) => one.release === release),
  );
  const { document } = await kpatch(cache, 'kernel', 'show', release);
  assert.deepEqual(document.kernel, then('kernel-show').kernel);
  assert.equal(document.unchanged, false);
  assert.equal((await kpatch(cache, 'kernel', 'remove', release)).status, 0);
  const left = readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.deepEqual(
    left.map(({ name }) => name).filter((name) => !/^\..*\.(lock|writers)$/.test(name)),
    [],
  );
});

test('a prepared kernel in a later format counts as incomplete: the next use prepares it again', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  const cache = folder.path;
  const file = join(unpack('cache', join(cache, 'kpatch')), 'kernels', release, 'manifest.json');
  const text = readFileSync(file, 'utf8').replace('"format": 2', '"format": 9');
  writeFileSync(file, text, { flag: 'w', mode: 0o644 });
  assert.deepEqual((await kpatch(cache, 'kernel', 'list')).document.kernels, [{ release, state: 'incomplete' }]);
  const { status, document } = await kpatch(cache, 'kernel', 'show', release);
  assert.equal(status, 3);
  assert.equal((document.error as { code: string }).code, 'kernel-not-prepared');
});
