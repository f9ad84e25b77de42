/** The content-addressed store: in a folder, and at a coordinator over HTTP. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { failure, sha256, temporaryFolder } from 'kpatch/parts';
import { FolderBlobs } from '#factory/store/blobs.ts';
import { documentFrom, dumpLines } from '#factory/store/documents.ts';
import { isLoopback, RemoteBlobs, readToken, storeServer } from '#factory/store/remote.ts';
import { provokes } from '../../kpatch/test/provoke.ts';

const TOKEN = 'a'.repeat(40);

test('a folder: what is damaged is not there, and is stored again', async () => {
  using folder = temporaryFolder('kpatch-store-');
  const blobs = new FolderBlobs(folder.path);
  const digest = await blobs.put('text');
  assert.equal(await blobs.put('text'), digest);
  assert.equal((await blobs.get(digest))?.toString(), 'text');
  writeFileSync(blobs.pathOf(digest), 'other');
  assert.equal(await blobs.get(digest), undefined);
  await provokes('factory-store', () => blobs.copy(digest, join(folder.path, 'out')));
  await blobs.put('text');
  await blobs.copy(digest, join(folder.path, 'out'));
  assert.equal(readFileSync(join(folder.path, 'out'), 'utf8'), 'text');
  assert.equal(await blobs.get('../x'), undefined);
});

async function served(work: (url: string, coordinator: FolderBlobs, folder: string) => Promise<void>): Promise<void> {
  using folder = temporaryFolder('kpatch-store-');
  const coordinator = new FolderBlobs(join(folder.path, 'coordinator'));
  const server = storeServer(coordinator, TOKEN);
  try {
    await work(await server.listen({ host: '127.0.0.1', port: 0 }), coordinator, folder.path);
  } finally {
    await server.close();
  }
}

test('over HTTP: workers share what they store, and verify what they get', () =>
  served(async (url, coordinator, folder) => {
    const [first, second] = ['first', 'second'].map(
      (name) => new RemoteBlobs(url, TOKEN, new FolderBlobs(join(folder, name))),
    ) as [RemoteBlobs, RemoteBlobs];
    const large = Buffer.alloc(3 * 2 ** 20, 'x');
    const digest = await first.put(large);
    assert.deepEqual(await second.get(digest), large);
    assert.equal((await coordinator.get(digest))?.length, large.length);
    assert.equal(await second.get(sha256('none')), undefined);
    assert.equal(await second.get('../../etc/passwd'), undefined);
    // A coordinator whose disk damaged it: the worker takes nothing, and the next one to store it repairs it.
    const third = new RemoteBlobs(url, TOKEN, new FolderBlobs(join(folder, 'third')));
    writeFileSync(coordinator.pathOf(digest), 'other');
    assert.equal(await third.get(digest), undefined);
    await first.put(large);
    assert.deepEqual(await third.get(digest), large);
  }));

test('strangers, wrong digests, and bytes that are too many are refused', () =>
  served(async (url, coordinator) => {
    const digest = await coordinator.put('secret');
    const ask = async (path: string, init: RequestInit = {}): Promise<number> => (await fetch(url + path, init)).status;
    assert.equal(await ask(`/store/${digest}`), 401);
    assert.equal(await ask(`/store/${digest}`, { headers: { authorization: `Bearer ${TOKEN}x` } }), 401);
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/octet-stream' };
    assert.equal(await ask(`/store/${digest}`, { headers: { authorization: headers.authorization } }), 200);
    assert.equal(await ask(`/store/${sha256('a')}`, { method: 'PUT', headers, body: 'b' }), 400);
    assert.equal(await ask('/store/..%2f..%2fx', { method: 'PUT', headers, body: 'b' }), 400);
    const form = { ...headers, 'content-type': 'text/plain' };
    assert.equal(await ask(`/store/${sha256('b')}`, { method: 'PUT', headers: form, body: 'b' }), 415);
    const stranger = new RemoteBlobs(url, 'b'.repeat(40), coordinator);
    const error = await provokes('factory-store', () => stranger.put('text'));
    assert.match(error.message, /does not take the token/);
  }));

test('a full coordinator and one that is away are errors with their reason', async () => {
  using folder = temporaryFolder('kpatch-store-');
  const full = new (class extends FolderBlobs {
    override async put(): Promise<string> {
      throw failure('disk-full', { file: this.place });
    }
  })(join(folder.path, 'full'));
  const server = storeServer(full, TOKEN);
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  const worker = new RemoteBlobs(url, TOKEN, new FolderBlobs(join(folder.path, 'worker')));
  assert.match((await provokes('factory-store', () => worker.put('x'))).message, /it is full/);
  await server.close();
  assert.match((await provokes('factory-store', () => worker.put('y'))).message, /127\.0\.0\.1/);
});

test('the token does not go over a network in the clear, and is long', async () => {
  using folder = temporaryFolder('kpatch-store-');
  const kept = new FolderBlobs(folder.path);
  for (const url of ['http://coordinator.example.org', 'http://192.0.2.1:8471', 'ftp://127.0.0.1', 'x'])
    await provokes('factory-store', () => new RemoteBlobs(url, TOKEN, kept));
  new RemoteBlobs('https://coordinator.example.org', TOKEN, kept);
  new RemoteBlobs('http://[::1]:8471', TOKEN, kept);
  assert.equal(isLoopback('127.evil.example.org'), false);
  const file = join(folder.path, 'token');
  for (const text of ['', 'short', `${'a'.repeat(40)}\nmore`, 'ä'.repeat(40)]) {
    writeFileSync(file, text);
    await provokes('factory-store', () => readToken(file));
  }
  await provokes('factory-store', () => readToken(join(folder.path, 'none')));
  writeFileSync(file, `${TOKEN}\n`);
  assert.equal(readToken(file), TOKEN);
});

test('stored documents: what does not fit is an error, or is made again where it only saves work', async () => {
  const bytes = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  const digest = sha256('a');
  const proof = { module: digest, verdict: 'proven', reasons: [], addedLater: 1 };
  assert.deepEqual(documentFrom('proof', bytes(proof)), proof);
  assert.deepEqual(documentFrom('excluded', bytes({ abc: 'as 0.1 wrote it' })), { abc: 'as 0.1 wrote it' });
  for (const damaged of [{ ...proof, verdict: 'proved' }, { ...proof, module: '../x' }, [], '{'])
    await provokes('factory-document', () => documentFrom('proof', bytes(damaged)));
  assert.equal(documentFrom('screened', bytes([1])), undefined);
  const lines = ['{"pointer":{"name":"intake","digest":"x"}}', '{"decision":{"word":"perhaps"}}', '{}', 'x'];
  for (const line of lines) await provokes('factory-document', () => dumpLines(line));
});
