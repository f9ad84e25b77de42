/** Keys that are kept apart: encrypted with a passphrase, and targets signed on a machine of their own. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { importSignatures, signFile, summarize } from '#kpatch/channel/repository/tuf/ceremony.ts';
import { servedMetadata } from '#kpatch/channel/repository/tuf/repository.ts';
import { pendingTargets, prepareTargets } from '#kpatch/channel/repository/tuf/targets.ts';
import { makeTufKey, readTufPrivateKey } from '#kpatch/channel/tuf/key.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { moduleName } from './module-file.ts';
import { running } from './publisher.ts';
import { TufChannel } from './tuf-channel.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');
const SECRET = 'correct horse battery';

async function kpatch(...args: string[]): Promise<{ status: number; code: unknown; data: Record<string, unknown> }> {
  const { status, stdout, stderr } = await run(program, [...args, '--json']);
  assert.notEqual(stdout.length, 0, stderr);
  const data = JSON.parse(stdout.toString()) as Record<string, unknown> & { error?: { code: unknown } };
  return { status, code: data.error?.code, data };
}

test('a key is encrypted with a passphrase from a file, which opens it again, and openssl reads it', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const at = (name: string): string => join(folder.path, name);
  writeFileSync(at('secret'), `${SECRET}\n`, { mode: 0o600 });
  const made = await kpatch('channel', 'new-key', at('root.key'), '--encrypt', '--passphrase-file', at('secret'));
  assert.equal(made.status, 0);
  assert.match(readFileSync(at('root.key'), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/);
  assert.equal(readTufPrivateKey(at('root.key'), () => SECRET).id, made.data.id);
  const opened = spawnSync('openssl', ['pkey', '-in', at('root.key'), '-passin', `file:${at('secret')}`, '-pubout']);
  assert.equal(opened.stdout.toString(), readFileSync(at('root.key.pub'), 'utf8'));
  // A key that openssl encrypted with a slow derivation.
  makeTufKey(at('plain.key'));
  const slow = ['pkcs8', '-topk8', '-scrypt', '-in', at('plain.key'), '-out', at('slow.key')];
  assert.equal(spawnSync('openssl', [...slow, '-passout', `file:${at('secret')}`]).status, 0);
  assert.equal(readTufPrivateKey(at('slow.key'), () => SECRET).id, readTufPrivateKey(at('plain.key')).id);
});

test('passphrases that are missing, wrong, too short, readable by others, empty or endless are refused', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const at = (name: string): string => join(folder.path, name);
  const channel = await TufChannel.make(folder.path);
  makeTufKey(at('k.key'), SECRET);
  await provokes('tuf-passphrase', () => readTufPrivateKey(at('k.key')));
  await provokes('tuf-passphrase', () => readTufPrivateKey(at('k.key'), () => 'wrong'));
  const root = join(channel.folder, 'tuf/1.root.json');
  const sign = (...args: string[]) => kpatch('channel', 'sign', root, '--key', at('k.key'), ...args);
  for (const [text, mode] of [
    ['wrong\n', 0o600],
    [`${SECRET}\n`, 0o644],
    ['', 0o600],
    [`${'x'.repeat(5000)}\n`, 0o600],
  ] as const) {
    writeFileSync(at('secret'), text);
    chmodSync(at('secret'), mode);
    assert.deepEqual([(await sign('--passphrase-file', at('secret'))).code], ['tuf-passphrase'], text.slice(0, 20));
  }
  assert.equal((await sign('--passphrase-fd', '1')).code, 'tuf-passphrase');
  assert.equal((await sign('--passphrase-fd', '77')).code, 'tuf-passphrase');
  assert.equal((await sign('--passphrase-file', '/dev/zero')).code, 'tuf-passphrase');
  writeFileSync(at('short'), 'short\n', { mode: 0o600 });
  const short = await kpatch('channel', 'new-key', at('s.key'), '--encrypt', '--passphrase-file', at('short'));
  assert.deepEqual([short.code, existsSync(at('s.key'))], ['tuf-passphrase', false]);
  const unused = await kpatch('channel', 'new-key', at('s.key'), '--passphrase-file', at('short'));
  assert.equal(unused.code, 'usage');
});

test('a passphrase through a file descriptor signs', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  const key = join(folder.path, 'k.key');
  makeTufKey(key, SECRET);
  const command = '"$0" channel sign "$1" --key "$2" --passphrase-fd 3 --json 3<<<"$3"';
  const root = join(channel.folder, 'tuf/1.root.json');
  const { status, stdout } = await run('bash', ['-c', command, program, root, key, SECRET]);
  assert.equal(status, 0, stdout.toString());
});

test('on a terminal kpatch asks twice for a new passphrase and does not show it', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const key = join(folder.path, 'k.key');
  const child = spawn('script', ['-qec', `'${program}' channel new-key '${key}' --encrypt`, '/dev/null']);
  let shown = '';
  let answered = 0;
  child.stdout.on('data', (text: Buffer) => {
    shown += text.toString();
    const asked = (shown.match(/Passphrase of .*?: |The same again: /g) ?? []).length;
    for (; answered < asked; answered++) child.stdin.write(`${SECRET}\n`);
  });
  const timer = setTimeout(() => child.kill(), 60_000);
  await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  assert.ok(!shown.includes(SECRET), shown);
  assert.ok(readTufPrivateKey(key, () => SECRET).id.length > 0);
});

/** The publisher has the keys of snapshot and timestamp only. */
async function apart(folder: string): Promise<{ channel: TufChannel; prepare(): Promise<string | undefined> }> {
  const channel = await TufChannel.make(folder);
  channel.add({ version: 1 });
  channel.online = ['snapshot', 'timestamp'];
  const prepare = async (): Promise<string | undefined> => {
    const served = await servedMetadata(channel.tree === '' ? undefined : channel.tree);
    return prepareTargets(channel.folder, channel.publication(), served?.targets);
  };
  return { channel, prepare };
}

test('targets are prepared at the publisher, signed elsewhere, brought back and published', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const { channel, prepare } = await apart(folder.path);
  await provokes('tuf-unsigned', () => channel.publish());
  const file = await prepare();
  assert.equal(file, pendingTargets(channel.folder));
  const summary = await summarize(file);
  assert.deepEqual(summary.role === 'targets' && summary.modules.map(({ name, version }) => [name, version]), [
    [moduleName(running, 1), '1-1'],
  ]);
  // Prepared, but not signed: nothing is published.
  await provokes('tuf-unsigned', () => channel.publish());
  const elsewhere = join(folder.path, 'elsewhere');
  mkdirSync(elsewhere);
  cpSync(file, join(elsewhere, 'next.targets.json'));
  const signature = await signFile(join(elsewhere, 'next.targets.json'), channel.keyFile('targets'));
  assert.deepEqual(await importSignatures(channel.folder, [signature]), {
    role: 'targets',
    version: 1,
    complete: true,
    missing: { before: 0, own: 0 },
  });
  const tree = await channel.publish();
  assert.ok(existsSync(join(tree, 'tuf/1.targets.json')));
  assert.equal(await prepare(), undefined, 'the list still holds');
  // Another patch: the list that was signed is no longer the one that is needed.
  channel.add({ version: 2 });
  await provokes('tuf-unsigned', () => channel.publish());
});

attack(
  {
    area: 'tuf',
    attacker: 'channel key',
    how: 'key confusion: a list of targets signed with the keys of root, snapshot and timestamp is imported and published',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const { channel, prepare } = await apart(folder.path);
    const file = (await prepare())!;
    let refusal: Error | undefined;
    for (const name of ['root1', 'snapshot', 'timestamp']) {
      const signature = await signFile(file, channel.keyFile(name));
      refusal = await provokes('tuf-signature-file', () => importSignatures(channel.folder, [signature]));
      assert.match(refusal.message, /not a key of targets/);
      // Renamed to be for a root, and with the name of the right key.
      const document = JSON.parse(readFileSync(signature, 'utf8')) as object;
      const forged = { ...document, key: channel.key('targets').id };
      writeFileSync(signature, JSON.stringify(forged));
      await provokes('tuf-signature-file', () => importSignatures(channel.folder, [signature]));
      writeFileSync(signature, JSON.stringify({ ...forged, role: 'root' }));
      await provokes('tuf-root', () => importSignatures(channel.folder, [signature]));
    }
    await provokes('tuf-unsigned', () => channel.publish());
    return refusal!.message;
  },
);

attack(
  {
    area: 'tuf',
    attacker: 'supply chain',
    how: 'the publisher’s machine changes the list of targets after it was signed elsewhere',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const { channel, prepare } = await apart(folder.path);
    const file = (await prepare())!;
    await importSignatures(channel.folder, [await signFile(file, channel.keyFile('targets'))]);
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('"version": 1', '"version": 2'));
    return await provokes('tuf-unsigned', () => channel.publish());
  },
);
