import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { build, diff, hostStatus, KpatchError, readModule, requireProof, version } from 'kpatch';
import { temporaryFolder } from '#kpatch/base/files.ts';

const fixtures = join(import.meta.dirname, '../fixtures/0.1');

test('the library reads modules and proofs', () => {
  const module = readModule(join(fixtures, 'kpatch_6_1_0_57_amd64_1_1.ko'));
  assert.equal(module.release, '6.1.0-57-amd64');
  assert.deepEqual(
    module.manifest?.functions.map(({ name }) => name),
    ['meminfo_proc_show'],
  );
  const proof = requireProof(join(fixtures, 'kpatch_6_1_0_57_amd64_1_1.proof.json'), {
    module: module.sha256,
    release: module.release,
    keys: [join(fixtures, 'proof-key.pem')],
  });
  assert.equal(proof.verdict, 'proven');
  assert.match(version, /^\d+\.\d+\.\d+$/);
});

test('the library shows what an image has installed', () => {
  using folder = temporaryFolder('kpatch-library-');
  execFileSync('tar', ['xzf', join(fixtures, 'machine.tar.gz'), '-C', folder.path]);
  const status = hostStatus(folder.path);
  assert.deepEqual(status.patches, []);
  assert.equal(status.transition, undefined);
});

test('the library compares objects', () => {
  using folder = temporaryFolder('kpatch-library-');
  const compiled = (name: string, body: string): Buffer => {
    const file = join(folder.path, name);
    const flags = ['-O2', '-ffunction-sections', '-fdata-sections', '-mcmodel=kernel', '-fno-pic', '-mfentry', '-pg'];
    execFileSync('gcc-12', [...flags, '-c', '-x', 'c', '-o', file, '-'], { input: `int f(int a) { ${body} }` });
    return execFileSync('cat', [file]);
  };
  const result = diff(compiled('a.o', 'return a + 1;'), compiled('b.o', 'return a + 2;'), {
    names: { original: 'a.o', patched: 'b.o' },
    object: 'vmlinux',
    kernel: { major: 6, minor: 1, config: () => undefined },
    exported: () => undefined,
    symbols: [{ name: 'f', kind: 'function', bind: 'global' }],
    keepLineChanges: false,
    leaveOutInit: false,
  });
  assert.deepEqual(
    result.functions.map(({ name, kind }) => `${kind} ${name}`),
    ['changed f'],
  );
});

test('errors of the library are those of the catalogue', async () => {
  await assert.rejects(
    () => build({ patches: ['/nonexistent.patch'] }),
    (error) => error instanceof KpatchError && error.code === 'file-unreadable' && error.fix !== '',
  );
});

test('the example of the library runs', () => {
  const example = join(import.meta.dirname, '../../../../examples/inspect.ts');
  const module = join(fixtures, 'livepatch_cmdline.ko');
  const output = execFileSync(process.execPath, [example, module], { encoding: 'utf8' });
  assert.equal(output, 'livepatch_cmdline for 6.1.0-57-amd64\n  cmdline_proc_show (vmlinux)\n');
});
