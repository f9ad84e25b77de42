import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { problemIn } from '#kpatch/documents/document.ts';
import { documents, printedDocument } from '#kpatch/documents/registry.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { problemOfOutput } from '../output-check.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');
const fixtures = join(import.meta.dirname, '../fixtures/0.1');

function storedDocument(name: string) {
  return documents.find((one) => one.name === name && one.origin.kind === 'stored')!;
}

test('every document has a name of its own among those that are printed, stored or given', () => {
  const keys = documents.map(({ name, origin }) => `${origin.kind} ${name}`);
  assert.deepEqual([...new Set(keys)], keys);
  for (const { name, origin } of documents) {
    if (origin.kind === 'printed') assert.match(name, /^kpatch\.[a-z-]+\/\d+$/);
  }
});

test('what version 0.1 printed still fits the documents', () => {
  for (const name of readdirSync(join(fixtures, 'json')).filter((file) => file.endsWith('.json'))) {
    assert.equal(problemOfOutput(readFileSync(join(fixtures, 'json', name), 'utf8')), undefined, name);
  }
});

test('what version 0.1 stored still fits the documents', () => {
  using folder = temporaryFolder('kpatch-documents-');
  const unpacked = (archive: string, member: string): unknown => {
    const text = execFileSync('tar', ['xzOf', join(fixtures, archive), member], { cwd: folder.path, encoding: 'utf8' });
    return JSON.parse(text);
  };
  const store = './var/lib/kpatch/6.1.0-57-amd64';
  const cases: readonly (readonly [string, string, string])[] = [
    ['kpatch.store/1', 'machine.tar.gz', `${store}/.index.json`],
    ['kpatch.boot/1', 'machine.tar.gz', `${store}/.boot.json`],
    ['kpatch.loaded', 'machine.tar.gz', './run/kpatch/loaded/livepatch_cmdline.json'],
    ['kpatch.channel-state/1', 'machine.tar.gz', './var/lib/kpatch/channel.json'],
    ['kpatch.livepatch/1', 'machine.tar.gz', './usr/lib/kpatch/6.1.0-57-amd64/advisory.json'],
    ['kpatch.channel-kernels/1', 'machine.tar.gz', './usr/share/kpatch/channel/kernels.json'],
    ['kpatch.proof/1', 'machine.tar.gz', `${store}/kpatch_6_1_0_57_amd64_1_1.proof.json`],
    ['kpatch.channel/1', 'channel.tar.gz', './channel.json'],
    ['kpatch.channel-kernel/1', 'channel.tar.gz', './kernels/6.1.0-57-amd64.json'],
  ];
  for (const [name, archive, member] of cases) {
    assert.equal(problemIn(storedDocument(name).schema, unpacked(archive, member)), undefined, member);
  }
  const module = readFileSync(join(fixtures, 'livepatch_cmdline.ko'));
  assert.equal(problemIn(storedDocument('kpatch.manifest/1').schema, readManifest(module)), undefined);
});

test('a member that no document describes is found, and so is one of another type', () => {
  const good = { schema: 'kpatch.version/1', warnings: [], version: '1' };
  assert.equal(problemOfOutput(JSON.stringify(good)), undefined);
  assert.match(problemOfOutput(JSON.stringify({ ...good, more: 1 }))!, /must NOT have additional properties/);
  assert.match(problemOfOutput(JSON.stringify({ ...good, version: 1 }))!, /version must be string/);
  assert.match(problemOfOutput(JSON.stringify({ ...good, schema: 'kpatch.other/1' }))!, /no schema describes/);
  assert.equal(
    problemIn(printedDocument('kpatch.unload/1')!.schema, { ...good, schema: 'kpatch.unload/1', patches: [{}] }),
    'patches.0.name: Invalid key: Expected "name" but received undefined',
  );
});

test('commands print what the documents say', async () => {
  using folder = temporaryFolder('kpatch-documents-');
  const root = folder.path;
  execFileSync('tar', ['xzf', join(fixtures, 'machine.tar.gz'), '-C', root]);
  const module = join(fixtures, 'livepatch_cmdline.ko');
  const object = join(root, 'a.o');
  execFileSync('gcc-12', ['-c', '-ffunction-sections', '-x', 'c', '-o', object, '-'], {
    input: 'int f(int a) { return a; }',
  });
  const commands: readonly (readonly string[])[] = [
    ['version'],
    ['doctor'],
    ['status'],
    ['status', '--root', root],
    ['list', '--root', root],
    ['info', module],
    ['info', '/nonexistent.ko'],
    ['verify', '--root', root],
    ['metrics', '--root', root],
    ['metrics', '--root', root, '--output', join(root, 'kpatch.prom')],
    ['uninstall', 'livepatch_cmdline', '-k', '6.1.0-57-amd64', '--dry-run', '--root', root],
    ['unload', 'livepatch_cmdline', '--dry-run', '--root', root],
    ['signal', '--root', root],
    ['kernel', 'list'],
    ['cache', 'list'],
    ['cache', 'size'],
    ['cache', 'prune', '--dry-run', '--max-size', '1T'],
    ['kernel', 'show', 'no-such-kernel'],
    ['diff', object, object],
    ['channel', 'status', '--root', root],
    ['channel', 'check', join(root, 'nothing')],
    ['manual', '--root', root],
    ['no-such-command'],
    ['build'],
  ];
  for (const command of commands) {
    const { stdout, stderr } = await run(program, [...command, '--json']);
    assert.equal(problemOfOutput(stdout.toString()), undefined, `${command.join(' ')}: ${stderr}`);
  }
});
