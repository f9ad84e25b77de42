/** `kpatch cache` on a made-up cache: what is listed, what is removed and in which order, and that what is in use stays. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type TemporaryFolder, temporaryFolder } from '#kpatch/base/files.ts';
import { lock } from '#kpatch/base/process/lock.ts';
import { run } from '#kpatch/base/run.ts';
import { kernelLock, packagesLock } from '#kpatch/prepare/cache.ts';
import { type CacheEntry, cacheEntries } from '#kpatch/prepare/disk/entries.ts';
import { parseAge, parseSize, readLimits, sizeText } from '#kpatch/prepare/disk/limits.ts';
import { pruneCache, total } from '#kpatch/prepare/disk/prune.ts';
import { release, unpack } from '../compatibility/fixtures.ts';
import { provokes } from '../provoke.ts';

const main = join(import.meta.dirname, '../../cli/main.ts');
const old = '6.1.0-40-amd64';
const buildId = '6a2b4ac77585b8cf';
const day = 86_400_000;

describe('kpatch cache', () => {
  let home: TemporaryFolder;
  const before = process.env.XDG_CACHE_HOME;
  const at = (path: string): string => join(home.path, 'kpatch', path);

  /** Writes a file of so many kilobytes, last used so many days ago. */
  function put(path: string, kilobytes: number, daysAgo = 0): void {
    mkdirSync(join(at(path), '..'), { recursive: true });
    writeFileSync(at(path), Buffer.alloc(kilobytes * 1000));
    const time = new Date(Date.now() - daysAgo * day);
    utimesSync(at(path), time, time);
  }

  beforeEach(() => {
    home = temporaryFolder('kpatch-cache-');
    process.env.XDG_CACHE_HOME = home.path;
    process.env.XDG_CONFIG_HOME = join(home.path, 'config');
    unpack('cache', at(''));
    // An older kernel beside the one of the fixture, used two days ago; that one is used now.
    const manifest = readFileSync(at(`kernels/${release}/manifest.json`), 'utf8').replaceAll(release, old);
    put(`kernels/${old}/vmlinux`, 400);
    writeFileSync(at(`kernels/${old}/manifest.json`), manifest);
    put(`derived/${old}-${buildId}/object-map.json`, 100);
    put(`kernels/.${old}.lock`, 0, 2);
    put(`kernels/${release}/vmlinux`, 400);
    put(`kernels/.${release}.lock`, 0);
    put(`derived/${release}-${buildId}/objects/one`, 200);
    // The older kernel is compiled in a build root, whose folder its manifest names.
    const manifestFile = at(`kernels/${old}/manifest.json`);
    const inRoot = readFileSync(manifestFile, 'utf8').replace(
      '"command":',
      `"root": "${at('roots/needed')}", "command":`,
    );
    writeFileSync(manifestFile, inRoot);
    for (const key of [old, release]) {
      const long = new Date(Date.now() - 9 * day);
      utimesSync(at(`kernels/${key}/manifest.json`), long, long);
    }
    put('packages/linux-image_1_amd64.deb', 300);
    put(`guests/${release}-0123456789abcdef-${'a'.repeat(64)}.guest`, 100, 3);
    put('derived/6.1.0-1-amd64-0000000000000000/object-map.json', 50);
    put('kernels/6.1.0-2-amd64/tree/Makefile', 50);
    put('kernels/.trash-0123456789ab/tree', 50);
    put('something/else', 10);
    put('roots/needed/usr/bin/gcc', 60, 5);
    put('roots/unneeded/usr/bin/gcc', 60, 5);
    put('apt/debian-11-0123/lists', 40);
    put('node/v26/code', 40);
  });
  afterEach(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    delete process.env.XDG_CONFIG_HOME;
    home.dispose();
  });

  const names = (entries: readonly CacheEntry[]): string[] => entries.map(({ kind, name }) => `${kind} ${name}`);

  it('lists every entry once with what it is; the sizes add up to the folder', async () => {
    const entries = await cacheEntries();
    assert.deepEqual(names(entries), [
      `kernel ${old}`,
      `kernel ${release}`,
      `derived ${old}-${buildId}`,
      `derived ${release}-${buildId}`,
      `objects ${release}-${buildId}`,
      `guest ${release}-0123456789abcdef-${'a'.repeat(64)}.guest`,
      'root needed',
      'root unneeded',
      'packages linux-image_1_amd64.deb',
      'lists debian-11-0123',
      'code node',
      'leftover .trash-0123456789ab',
      'leftover 6.1.0-1-amd64-0000000000000000',
      'leftover 6.1.0-2-amd64',
      'other something',
    ]);
    const whole = Number.parseInt(spawnSync('du', ['-s', '--block-size=1', at('')], { encoding: 'utf8' }).stdout, 10);
    assert.ok(Math.abs(total(entries) - whole) < 64_000, `${total(entries)} of ${whole}`);
    assert.deepEqual(entries.map(({ inUse }) => inUse).includes(true), false);
  });

  it('manages downloaded commits, except those that a build may be fetching; timings are listed and stay', async () => {
    put('git/0123/packed', 20, 3);
    put('git/4567/packed', 20, 3);
    utimesSync(at('git/0123'), new Date(Date.now() - 3 * day), new Date(Date.now() - 3 * day));
    put('timings.json', 1);
    const listed = (await cacheEntries()).filter(({ path }) => /\/git\/|timings/.test(path));
    assert.deepEqual(
      listed.map(({ kind, name, inUse }) => [kind, name, inUse]),
      [
        ['derived', 'timings.json', false],
        ['packages', '0123', false],
        ['packages', '4567', true],
      ],
    );
    const { removed, kept } = await pruneCache({ olderThan: 0 });
    assert.ok(removed.some(({ name }) => name === '0123') && !existsSync(at('git/0123')));
    assert.deepEqual(names(kept), ['packages 4567']);
    assert.ok(existsSync(at('timings.json')));
  });

  it('without limits removes leftovers only', async () => {
    const { removed, kept } = await pruneCache({});
    assert.deepEqual(names(removed).sort(), [
      'leftover .trash-0123456789ab',
      'leftover 6.1.0-1-amd64-0000000000000000',
      'leftover 6.1.0-2-amd64',
    ]);
    assert.deepEqual(kept, []);
    assert.equal(existsSync(at('kernels/6.1.0-2-amd64')), false);
    assert.deepEqual(
      readdirSync(at('kernels')).filter((name) => name.startsWith('.trash')),
      [],
    );
  });

  it('for a size limit removes packages, guests, compiled units, then the kernel that was not used for longest', async () => {
    const { after, before: size } = await pruneCache({ maxSize: 700_000 });
    assert.ok(after <= 700_000 && after < size);
    const left = names(await cacheEntries());
    assert.deepEqual(left, [`kernel ${release}`, `derived ${release}-${buildId}`, 'root needed', 'other something']);
    assert.equal(existsSync(at(`derived/${old}-${buildId}`)), false, 'its derived data goes with the kernel');
  });

  it('a dry run says the same and removes nothing', async () => {
    const planned = await pruneCache({ maxSize: 700_000 }, { dryRun: true });
    assert.equal((await cacheEntries()).length, 15);
    const done = await pruneCache({ maxSize: 700_000 });
    assert.deepEqual(names(planned.removed), names(done.removed));
    assert.equal(planned.after, done.after);
  });

  it('keeps what another kpatch uses, and says so', async () => {
    using _kernel = await lock(kernelLock(old), 'test', { shared: true });
    using _packages = await lock(packagesLock(), 'test', { shared: true });
    const inUse = (await cacheEntries()).filter((entry) => entry.inUse);
    assert.deepEqual(names(inUse), [
      `kernel ${old}`,
      `derived ${old}-${buildId}`,
      'root needed',
      'root unneeded',
      'packages linux-image_1_amd64.deb',
      'lists debian-11-0123',
    ]);
    const { kept } = await pruneCache({ maxSize: 0 });
    assert.deepEqual(names(kept), [
      'packages linux-image_1_amd64.deb',
      'lists debian-11-0123',
      'root unneeded',
      `kernel ${old}`,
    ]);
    assert.ok(existsSync(at(`kernels/${old}/vmlinux`)));
    assert.ok(existsSync(at(`derived/${old}-${buildId}/object-map.json`)));
    assert.equal(existsSync(at(`kernels/${release}`)), false);
  });

  it('removes a build root only when no kernel needs it any more', async () => {
    using _kernel = await lock(kernelLock(old), 'test', { shared: true });
    await pruneCache({ maxSize: 0 });
    assert.deepEqual(readdirSync(at('roots')), ['needed']);
    _kernel.release();
    while ((await cacheEntries()).some(({ inUse }) => inUse)) await setTimeout(20);
    const { removed } = await pruneCache({ maxSize: 0 });
    assert.deepEqual(names(removed), [`kernel ${old}`, `derived ${old}-${buildId}`, 'root needed']);
    assert.deepEqual(names(await cacheEntries()), ['other something']);
  });

  it('for an age limit removes what was not used since', async () => {
    const { removed } = await pruneCache({ olderThan: day });
    assert.deepEqual(
      names(removed).filter((name) => !name.startsWith('leftover')),
      [`guest ${release}-0123456789abcdef-${'a'.repeat(64)}.guest`, `kernel ${old}`, `derived ${old}-${buildId}`],
    );
  });

  it('sizes, ages and the file with the limits', async () => {
    const sizes = { '20G': 20e9, '20GB': 20e9, '1.5M': 1.5e6, '2GiB': 2 ** 31, '0': 0, '512': 512 };
    for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text);
    for (const text of ['', 'G', '-1', '1X', '1 2', '0x10']) assert.equal(parseSize(text), undefined, text);
    assert.deepEqual(['12h', '30d', '8w', '5m', 'd', '1.5d'].map(parseAge), [
      day / 2,
      30 * day,
      56 * day,
      undefined,
      undefined,
      undefined,
    ]);
    assert.deepEqual([0, 999, 7e6, 71e6, 2.14e9, 120e9].map(sizeText), [
      '0 B',
      '999 B',
      '7 MB',
      '71 MB',
      '2.1 GB',
      '120 GB',
    ]);
    const file = join(home.path, 'limits');
    writeFileSync(file, '# of this machine\nmax_size = 20G # in all\n\nolder_than=90d\n');
    assert.deepEqual(readLimits(file), { maxSize: 20e9, olderThan: 90 * day });
    assert.deepEqual(readLimits(join(home.path, 'none')), {});
    writeFileSync(file, 'max_size=20G\nmax_size=plenty\n');
    const error = await provokes('cache-settings', () => readLimits(file));
    assert.match(error.message, /line 2 .*max_size=plenty/);
  });

  it('the command: tables, JSON documents, limits from the file, wrong limits', async () => {
    const kpatch = async (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> => {
      const { status, stdout, stderr } = await run(process.execPath, [main, 'cache', ...args]);
      return { status, stdout: stdout.toString(), stderr };
    };
    assert.match(
      (await kpatch('list')).stdout,
      /^kernel +\d+ kB +\d{4}-\d\d-\d\d +6\.1\.0-57-amd64 +prepared kernel, debian 6\.1\.192-3$/m,
    );
    const listed = JSON.parse((await kpatch('list', '--json')).stdout) as { schema: string; entries: CacheEntry[] };
    assert.equal(listed.schema, 'kpatch.cache/1');
    assert.deepEqual(listed.entries, await cacheEntries());
    const size = JSON.parse((await kpatch('size', '--json')).stdout) as { bytes: number; kinds: { kind: string }[] };
    assert.equal(size.bytes, total(listed.entries));
    assert.deepEqual(
      size.kinds.map(({ kind }) => kind),
      ['kernel', 'derived', 'objects', 'guest', 'root', 'packages', 'lists', 'code', 'leftover', 'other'],
    );
    assert.match((await kpatch('prune', '-n')).stdout, /No limit is set/);
    mkdirSync(join(home.path, 'config/kpatch'), { recursive: true });
    writeFileSync(join(home.path, 'config/kpatch/cache.conf'), 'max_size=700k\n');
    assert.match((await kpatch('size')).stdout, /, limit 700 kB \(/);
    const pruned = await kpatch('prune');
    assert.match(pruned.stdout, new RegExp(`^Removed:\n(  .*\n)*  kernel +\\d+ kB  ${old}\n`));
    assert.equal(existsSync(at(`kernels/${old}`)), false);
    const all = JSON.parse((await kpatch('prune', '--max-size', '0', '--json')).stdout) as {
      schema: string;
      after: number;
    };
    assert.equal(all.schema, 'kpatch.cache-prune/1');
    assert.ok(all.after > 0 && all.after < 32_000, 'what is not managed stays');
    for (const wrong of [
      ['--max-size', 'much'],
      ['--older-than', '5m'],
    ]) {
      const { status, stderr } = await kpatch('prune', ...wrong);
      assert.equal(status, 2);
      assert.match(stderr, new RegExp(wrong[1]!));
    }
  });
});
