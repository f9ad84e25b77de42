import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import { temporaryFolder } from 'kpatch/parts';
import { type FeedState, readFeed } from '#factory/feeds/feed.ts';
import { Intake } from '#factory/feeds/intake.ts';
import { cveRecord } from '../../kpatch/test/advisory/records.ts';
import { provokes } from '../../kpatch/test/provoke.ts';

const record = (id: string, title = 'a flaw'): string => JSON.stringify(cveRecord({ id, title, from: '5.7' }));
const names = ({ changes }: { changes: readonly { name: string; bytes?: Buffer }[] }) =>
  changes.map(({ name, bytes }) => (bytes === undefined ? `-${name}` : name));

/** A zip archive of these members: deflated, with a directory. */
function zipOf(members: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(members)) {
    const data = Buffer.from(text);
    const packed = deflateRawSync(data);
    const head = Buffer.alloc(30);
    head.writeUInt32LE(0x04034b50, 0);
    head.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(crc32(data), 16);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(data.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(offset, 42);
    parts.push(head, Buffer.from(name), packed);
    directory.push(entry, Buffer.from(name));
    offset += 30 + name.length + packed.length;
  }
  const size = directory.reduce((sum, one) => sum + one.length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

test('a folder: only what changed is read again, and what is gone is reported', async () => {
  using work = temporaryFolder('kpatch-feed-');
  const folder = join(work.path, 'cves');
  mkdirSync(folder);
  writeFileSync(join(folder, 'a.json'), record('CVE-2026-1001'));
  writeFileSync(join(folder, 'b.json'), record('CVE-2026-1002'));
  writeFileSync(join(folder, 'README.md'), 'not a record');
  const first = await readFeed(folder, undefined, work.path);
  assert.deepEqual(names(first), ['a.json', 'b.json']);
  assert.deepEqual(names(await readFeed(folder, first.state, work.path)), []);
  writeFileSync(join(folder, 'a.json'), record('CVE-2026-1001', 'another title'));
  rmSync(join(folder, 'b.json'));
  assert.deepEqual(names(await readFeed(folder, first.state, work.path)), ['a.json', '-b.json']);
  const other: FeedState = { ...first.state, location: '/elsewhere' };
  assert.deepEqual(names(await readFeed(folder, other, work.path)), ['a.json'], 'the state of another feed');
});

test('a git repository: here, cloned, and with a history that was rewritten', async () => {
  using work = temporaryFolder('kpatch-feed-');
  const folder = join(work.path, 'records');
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args]);
  mkdirSync(join(folder, 'cves'), { recursive: true });
  git('init', '-q');
  const commit = (name: string, id: string): void => {
    writeFileSync(join(folder, 'cves', name), record(id));
    git('add', '-A');
    git('commit', '-q', '-m', name);
  };
  commit('a.json', 'CVE-2026-1001');
  const first = await readFeed(folder, undefined, work.path);
  assert.deepEqual(names(first), ['cves/a.json']);
  const cloned = await readFeed(`file://${folder}/.git`, undefined, work.path);
  assert.deepEqual(names(cloned), ['cves/a.json']);
  commit('b.json', 'CVE-2026-1002');
  assert.deepEqual(names(await readFeed(folder, first.state, work.path)), ['cves/b.json']);
  assert.deepEqual(names(await readFeed(`file://${folder}/.git`, cloned.state, work.path)), ['cves/b.json']);
  const lost = await readFeed(folder, { ...first.state, position: 'f'.repeat(40), files: {} }, work.path);
  assert.equal(lost.changes.length, 2);
  assert.match(lost.notes[0]!, /everything is read again/);
});

test('a zip archive and a URL', async () => {
  using work = temporaryFolder('kpatch-feed-');
  const file = join(work.path, 'cves.zip');
  writeFileSync(file, zipOf({ 'cves/a.json': record('CVE-2026-1001'), 'x.txt': 'x' }));
  const first = await readFeed(file, undefined, work.path);
  assert.deepEqual(names(first), ['cves/a.json']);
  assert.match(first.changes[0]!.bytes!.toString(), /CVE-2026-1001/);
  let content = zipOf({ 'a.json': record('CVE-2026-1001') });
  const server = createServer((request, response) => {
    const tag = `"${content.length}"`;
    if (request.headers['if-none-match'] === tag) response.writeHead(304).end();
    else if (request.url === '/none') response.writeHead(404).end();
    else response.writeHead(200, { etag: tag }).end(content);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cves.zip`;
  const fetched = await readFeed(url, undefined, work.path);
  assert.deepEqual(names(fetched), ['a.json']);
  assert.deepEqual(names(await readFeed(url, fetched.state, work.path)), []);
  content = zipOf({ 'a.json': record('CVE-2026-1001'), 'b.json': record('CVE-2026-1002') });
  assert.deepEqual(names(await readFeed(url, fetched.state, work.path)), ['b.json']);
  content = Buffer.from(record('CVE-2026-1003'));
  assert.equal(names(await readFeed(url, undefined, work.path)).length, 1);
  await provokes('factory-feed', () => readFeed(url.replace('cves.zip', 'none'), undefined, work.path));
  server.close();
});

test('feeds that cannot be read', async () => {
  using work = temporaryFolder('kpatch-feed-');
  await provokes('factory-feed', () => readFeed(join(work.path, 'none'), undefined, work.path));
  for (const bytes of [Buffer.from('PK'), zipOf({ 'a.json': '{}' }).subarray(0, 40), Buffer.alloc(30)]) {
    writeFileSync(join(work.path, 'x.zip'), bytes);
    await provokes('factory-feed', () => readFeed(join(work.path, 'x.zip'), undefined, work.path));
  }
  await provokes('factory-feed', () => readFeed(join(work.path, 'none.git'), undefined, work.path));
});

test('records: every file has an outcome, and nothing makes a CVE disappear by accident', () => {
  const intake = new Intake();
  const take = (file: string, text: string | undefined, feed = 'f') =>
    intake
      .take(feed, [{ name: file, ...(text === undefined ? {} : { bytes: Buffer.from(text) }) }])
      .map(({ cve, word }) => [cve, word]);
  assert.deepEqual(take('a.json', record('CVE-2026-1001')), [['CVE-2026-1001', 'new']]);
  assert.deepEqual(take('a.json', record('CVE-2026-1001', 'new title')), [['CVE-2026-1001', 'changed']]);
  assert.deepEqual(take('b.json', record('CVE-2026-1001', 'new title')), [['CVE-2026-1001', 'duplicate']]);
  assert.deepEqual(take('b.json', record('CVE-2026-1001', 'a third title')), [['CVE-2026-1001', 'contradictory']]);
  assert.equal(take('a.json', '{"dataType":')[0]![1], 'malformed');
  assert.equal(take('a.json', 'hello')[0]![1], 'malformed');
  assert.equal(take('a.json', '{}')[0]![1], 'malformed');
  assert.equal(take('c.json', record('CVE-1'))[0]![1], 'malformed');
  assert.ok(intake.advisories().has('CVE-2026-1001'));
  const other = record('CVE-2026-1002').replaceAll('"Linux"', '"Other"');
  assert.deepEqual(take('d.json', other), [[undefined, 'not about the kernel']]);
  assert.deepEqual(take('e.json', record('CVE-2026-1003').replace('"5.7"', '"5.7","lessThan":"5.6"')), [
    ['CVE-2026-1003', 'contradictory'],
  ]);
  assert.equal(
    take(
      'changelog',
      'linux (6.1.1-1) x; urgency=low\n\n  * f (CVE-2026-1009)\n\n -- A <a@b.c>  Sun, 01 Nov 2026 10:00:00 +0100\n',
    )[0]![1],
    'changelog',
  );
  assert.deepEqual(take('a.json', undefined), [['CVE-2026-1001', 'removed']]);
  assert.ok(intake.advisories().has('CVE-2026-1001'), 'the other file still names it');
  take('b.json', undefined);
  assert.ok(!intake.advisories().has('CVE-2026-1001'));
  const again = new Intake(JSON.parse(JSON.stringify(intake.plain())));
  assert.deepEqual([...again.advisories().keys()], [...intake.advisories().keys()]);
  assert.equal(again.changelogs().length, 1);
});
