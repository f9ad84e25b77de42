import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { headerFiles, kernelCode, PackageSource, sourceFiles, writeFiles } from './fake-distribution.ts';
import { bzImage, compile, linkKernel } from './fake-kernel.ts';

const main = join(import.meta.dirname, '../../cli/main.ts');
const release = '6.1.0-98-test';

describe('kpatch kernel', () => {
  const folder = temporaryFolder('kpatch-cli-');
  const at = (name: string): string => join(folder.path, name);
  const source = new PackageSource(at('apt'));
  const env = { ...source.environment, XDG_CACHE_HOME: at('cache') };
  const kpatch = async (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> => {
    const { status, stdout, stderr } = await run(process.execPath, [main, ...args], { env });
    return { status, stdout: stdout.toString(), stderr };
  };
  let key = '';

  before(() => {
    source.add('linux-image-6.1.0-97-amd64', '6.1.97-1', {}, {});
    mkdirSync(at('work'));
    writeFiles(at('source'), sourceFiles({}));
    writeFiles(at('headers'), headerFiles({ release, version: '' }));
    writeFileSync(
      at('vmlinuz'),
      bzImage(linkKernel(at('work'), [compile(at('work'), 'main', kernelCode(release))]), 'zstd'),
    );
  });
  after(async () => {
    await run('chmod', ['-R', 'u+w', folder.path]);
    folder.dispose();
  });

  it('lists nothing at first', async () => {
    assert.match((await kpatch('kernel', 'list')).stdout, /No kernel is prepared/);
    assert.deepEqual(JSON.parse((await kpatch('kernel', 'list', '--json')).stdout), {
      schema: 'kpatch.kernels/1',
      warnings: [],
      kernels: [],
    });
  });

  it('adds a kernel by its parts, shows, lists and removes it', async () => {
    const added = await kpatch(
      'kernel',
      'add',
      '--image',
      at('vmlinuz'),
      '--headers',
      at('headers'),
      '--source',
      at('source'),
      '--json',
    );
    assert.equal(added.status, 0, added.stderr + added.stdout);
    const { kernel } = JSON.parse(added.stdout) as { kernel: { release: string; paths: { root: string } } };
    assert.equal(kernel.release, release);
    key = kernel.paths.root.slice(kernel.paths.root.lastIndexOf('/') + 1);
    assert.match((await kpatch('kernel', 'list')).stdout, /6\.1\.0-98-test~[0-9a-f]{12}\s+ready\s+custom/);
    const shown = await kpatch('kernel', 'show', key);
    assert.match(shown.stdout, /live patches\s+yes/);
    assert.match(shown.stdout, /state\s+ready/);
    assert.equal((await kpatch('kernel', 'remove', key)).status, 0);
    assert.match((await kpatch('kernel', 'list')).stdout, /No kernel is prepared/);
  });

  it('keeps to the limits of the cache when it has prepared a kernel, and keeps that kernel', async () => {
    const limited = { ...env, XDG_CACHE_HOME: at('limited'), XDG_CONFIG_HOME: at('config') };
    writeFiles(at('config'), { 'kpatch/cache.conf': 'max_size=0\n' });
    writeFiles(at('limited'), { 'kpatch/packages/old_1_amd64.deb': 'x' });
    const parts = ['--image', at('vmlinuz'), '--headers', at('headers'), '--source', at('source')];
    const { status, stderr } = await run(process.execPath, [main, 'kernel', 'add', ...parts], { env: limited });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /removed 1 entry from the cache/);
    assert.deepEqual(
      readdirSync(at('limited/kpatch/packages')).filter((name) => !name.startsWith('.')),
      [],
    );
    const { stdout } = await run(process.execPath, [main, 'kernel', 'list'], { env: limited });
    assert.match(stdout.toString(), /6\.1\.0-98-test~[0-9a-f]{12}\s+ready/);
  });

  it('ends with the documented status and says what to do', async () => {
    for (const [args, status, pattern] of [
      [['kernel', 'show', '6.1.0-1'], 3, /kernel add 6\.1\.0-1/],
      [['kernel', 'remove', '../x'], 3, /not prepared/],
      [['kernel', 'add', '6.1.0-96-amd64'], 1, /kernels known here: 6\.1\.0-97-amd64/],
      [['kernel', 'add', '6.1.0-97-amd64'], 1, /linux-headers-6\.1\.0-97-amd64/],
      [['kernel', 'add', '--image', at('vmlinuz')], 2, /--headers and --source/],
      [['kernel', 'frobnicate'], 2, /frobnicate/],
    ] as const) {
      const result = await kpatch(...args);
      assert.equal(result.status, status, args.join(' '));
      assert.match(result.stderr, pattern);
    }
  });
});

describe('kpatch doctor', () => {
  it('names what is missing first, and one command that installs all of it', async () => {
    const env = { PATH: '/nonexistent' };
    const { status, stdout } = await run(process.execPath, [main, 'doctor', '--for', 'build'], { env });
    assert.equal(status, 1);
    assert.match(
      stdout.toString(),
      /^build: NOT READY\n {2}missing {2}bwrap: not installed\n\s+fix: apt-get install bubblewrap/,
    );
    assert.match(stdout.toString(), /Install what is missing:\n {2}apt-get install .*\bbubblewrap\b.*\bpatch\b/);
    assert.doesNotMatch(stdout.toString(), /qemu/);
  });

  it('refuses a purpose that it does not know', async () => {
    const { status, stderr } = await run(process.execPath, [main, 'doctor', '--for', 'nonsense']);
    assert.equal(status, 2);
    assert.match(stderr, /Allowed choices are build, prove, load/);
  });

  it('gives the same as JSON', async () => {
    const { stdout } = await run(process.execPath, [main, 'doctor', '--json']);
    const { fit, checks } = JSON.parse(stdout.toString()) as {
      fit: Record<string, boolean>;
      checks: { purpose: string; state: string; fix?: string }[];
    };
    assert.deepEqual(Object.keys(fit), ['build', 'prove', 'load']);
    assert.ok(checks.length > 18);
    for (const { state, fix } of checks) assert.equal(fix !== undefined, state !== 'ok');
    for (const [purpose, fits] of Object.entries(fit)) {
      assert.equal(
        fits,
        checks.every((check) => check.purpose !== purpose || check.state !== 'missing'),
      );
    }
  });
});
