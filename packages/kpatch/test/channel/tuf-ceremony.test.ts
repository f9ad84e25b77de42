/** The signing ceremony as people carry it out: the commands, on separate machines, and what they refuse. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { channelSchema, writeConfig } from '#kpatch/channel/repository/config.ts';
import { importSignatures } from '#kpatch/channel/repository/tuf/ceremony.ts';
import { newestRoot, rootVersions } from '#kpatch/channel/repository/tuf/root.ts';
import { provokes } from '../provoke.ts';
import { TufChannel } from './tuf-channel.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');

interface Answer {
  readonly status: number;
  readonly data: Record<string, unknown>;
}

async function kpatch(...args: string[]): Promise<Answer> {
  const { status, stdout, stderr } = await run(program, [...args, '--json']);
  assert.notEqual(stdout.length, 0, stderr);
  return { status, data: JSON.parse(stdout.toString()) as Record<string, unknown> };
}

function codeOf({ data }: Answer): unknown {
  return (data.error as Record<string, unknown>).code;
}

test('three people make a root with a threshold of two, each on a machine of their own', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const at = (...path: string[]): string => join(folder.path, ...path);
  const names = ['alice', 'bob', 'carol', 'targets', 'snapshot', 'timestamp'];
  for (const name of names) mkdirSync(at(name));
  for (const name of names) await kpatch('channel', 'new-key', at(name, `${name}.key`));
  assert.match(readFileSync(at('alice/alice.key.pub'), 'utf8'), /BEGIN PUBLIC KEY/);
  assert.equal(codeOf(await kpatch('channel', 'new-key', at('alice/alice.key'))), 'tuf-key');
  const channel = at('channel');
  mkdirSync(channel);
  const fields = { description: 'x', url: 'https://example.org/x', keys: ['A'.repeat(40)], formerKeys: [] };
  const rest = { windowMonths: 6, validDays: 14, keep: 2, require: { proof: false, moduleSignature: false } };
  writeConfig(channel, { schema: channelSchema, name: 'test', ...fields, ...rest });
  const pub = (name: string): string => at(name, `${name}.key.pub`);
  const roles = ['targets', 'snapshot', 'timestamp'].flatMap((role) => [`--${role}-key`, pub(role)]);
  const rootKeys = ['--root-key', pub('alice'), pub('bob'), pub('carol')];
  assert.equal(codeOf(await kpatch('channel', 'root', channel, ...rootKeys)), 'tuf-root');
  const wrong = await kpatch('channel', 'root', channel, ...rootKeys, ...roles, '--threshold', '4');
  assert.equal(codeOf(wrong), 'tuf-root');
  const made = await kpatch('channel', 'root', channel, ...rootKeys, ...roles, '--threshold', '2');
  assert.deepEqual([made.status, made.data.version, made.data.channel], [0, 1, 'test']);
  // Each carries the file to their own machine and the signature back.
  const signatures: string[] = [];
  for (const name of ['alice', 'carol']) {
    copyFileSync(String(made.data.file), at(name, 'next.root.json'));
    const signed = await kpatch('channel', 'sign', at(name, 'next.root.json'), '--key', at(name, `${name}.key`));
    signatures.push(String(signed.data.file));
  }
  const half = await kpatch('channel', 'import', channel, signatures[0]!);
  assert.deepEqual([half.data.complete, half.data.missing], [false, { before: 0, own: 1 }]);
  const whole = await kpatch('channel', 'import', channel, signatures[1]!);
  assert.deepEqual([whole.data.complete, rootVersions(channel)], [true, [1]]);
  assert.equal((await newestRoot(channel))?.signed.roles.root?.threshold, 2);
  assert.equal(codeOf(await kpatch('channel', 'import', channel, signatures[1]!)), 'tuf-root');
});

test('signatures that are not over the pending root by one of its keys are refused', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.newKey('stranger');
  await provokes('tuf-signature-file', () => channel.root({}, {}, ['stranger']));
  // A signature over the root before, given again.
  const old = join(folder.path, 'old.sig');
  const document = { schema: 'kpatch.tuf-signature/1', channel: 'test', version: 1, key: 'x', signature: '' };
  writeFileSync(old, JSON.stringify(document));
  await provokes('tuf-signature-file', () => importSignatures(channel.folder, [old]));
  const { id } = channel.key('root1');
  writeFileSync(old, JSON.stringify({ ...document, version: 2, key: id, signature: '00'.repeat(64) }));
  const error = await provokes('tuf-signature-file', () => importSignatures(channel.folder, [old]));
  assert.match(error.message, /not over the pending root/);
});

test('a key of packages is not taken for a root, and says how to follow by packages', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const file = join(folder.path, 'key.asc');
  writeFileSync(file, '-----BEGIN PGP PUBLIC KEY BLOCK-----\n');
  const answer = await kpatch('channel', 'follow', 'https://example.org/x', '--key', file, '--root', folder.path);
  assert.deepEqual([answer.status, codeOf(answer)], [2, 'tuf-package-key']);
});
