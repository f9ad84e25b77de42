import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import type { KernelProvider } from '#kpatch/distro/provider.ts';
import { loadKallsyms } from '#kpatch/kernel/kallsyms/kallsyms-file.ts';
import { KernelModules } from '#kpatch/kernel/modules.ts';
import { cachedReleases, kernelFolder } from '#kpatch/prepare/cache.ts';
import { derivedFolder } from '#kpatch/prepare/facts.ts';
import { holdKernel, prepareCustomKernel, prepareKernel } from '#kpatch/prepare/kernel.ts';
import { requireLivepatch } from '#kpatch/prepare/livepatch-support.ts';
import { inspectCached } from '#kpatch/prepare/manifest.ts';
import { removeKernel } from '#kpatch/prepare/remove.ts';
import { checkCompiler } from '#kpatch/toolchain/compiler.ts';
import { provokes } from '../provoke.ts';
import {
  addKernel,
  addSource,
  addUbuntuKernel,
  headerFiles,
  PackageSource,
  sourceFiles,
  writeFiles,
} from './fake-distribution.ts';

const release = '6.1.0-98-amd64';

describe('a kernel of a package source', () => {
  const folder = temporaryFolder('kpatch-prepare-');
  const source = new PackageSource(join(folder.path, 'apt'));
  const saved = { ...process.env };
  const report = silentReporter();
  const prepare = (wanted?: string): ReturnType<typeof prepareKernel> =>
    prepareKernel(wanted, { report, localCompiler: true });

  before(() => {
    Object.assign(process.env, source.environment, { XDG_CACHE_HOME: join(folder.path, 'cache') });
    addKernel(source, { release, version: '6.1.99-1' });
    addSource(source, { release, version: '6.1.100-1', sublevel: 100 }); // newer than the image: not to be taken
    source.add('linux-image-amd64', '6.1.99-1', { Depends: `linux-image-${release} (= 6.1.99-1)` }, {});
    const bad = { version: '6.1.99-1' };
    addKernel(source, { ...bad, release: '6.1.0-90-amd64', headersRelease: '6.1.0-91-amd64' });
    addKernel(source, { ...bad, release: '6.1.0-91-amd64', imageRelease: '6.1.0-92-amd64' });
    addKernel(source, { version: '6.1.98-1', release: '6.1.0-92-amd64', sublevel: 98 });
    addKernel(source, {
      version: '6.1.97-1',
      release: '6.1.0-93-amd64',
      makefile: '\t@echo CONFIG_EXTRA=y >> .config',
    });
    addKernel(source, {
      version: '6.1.96-1',
      release: '6.1.0-94-amd64',
      makefile: '\t@echo this tool fails >&2; exit 3',
    });
    addKernel(source, { version: '6.1.89-1', release: '6.1.0-89-rt-amd64', config: 'CONFIG_PREEMPT_RT=y\n' });
    addUbuntuKernel(source, { version: '6.1.0-60.62', release: '6.1.0-60-generic' });
    addUbuntuKernel(source, { version: '6.1.0-61.63~22.04.1', release: '6.1.0-61-generic' }, 'linux-hwe-6.1');
    addKernel(source, { version: '6.1.95-1', release: '6.1.0-95-amd64', config: '# CONFIG_LIVEPATCH is not set\n' });
    source.add('linux-image-6.1.0-96-amd64', '6.1.90-1', {}, {});
  });
  after(async () => {
    for (const key of cachedReleases()) await removeKernel(key);
    process.env = saved;
    folder.dispose();
  });

  it('is fetched with the source that its image was built from, and prepared; the newest without a release', async () => {
    const kernel = await prepare();
    assert.equal(kernel.release, release);
    assert.deepEqual(kernel.version, { major: 6, minor: 1, patch: 99 });
    assert.equal(kernel.sourceVersion, '6.1.99-1');
    assert.deepEqual(
      kernel.packages.map(({ name }) => name),
      [
        `linux-image-${release}`,
        `linux-headers-${release}`,
        `linux-headers-${release}-common`,
        'linux-kbuild-6.1',
        'linux-source-6.1',
      ],
    );
    const { tree, headers, kallsyms, config } = kernel.paths;
    assert.equal(readFileSync(join(tree, 'scripts/basic/fixdep'), 'utf8'), `${release}\n`);
    assert.equal(readFileSync(join(tree, '.config'), 'utf8'), readFileSync(config, 'utf8'));
    assert.ok(existsSync(join(tree, 'Documentation/index.rst')));
    assert.ok(existsSync(/^include (\S+)/.exec(readFileSync(join(headers, 'Makefile'), 'utf8'))![1]!));
    assert.equal(loadKallsyms(kallsyms).lookup('e').length, 1);
    assert.match(kernel.buildId ?? '', /^[0-9a-f]{40}$/);
    assert.equal(statSync(join(tree, 'Makefile')).mode & 0o222, 0, 'the tree is read-only');
  });

  it('knows its modules', async () => {
    const modules = new KernelModules(await prepare(release));
    assert.deepEqual(modules.names, ['some_fs']);
    assert.equal(modules.objectOf('some-fs'), 'fs/some-fs');
    assert.equal(modules.isBuiltin('built_in_fs'), true);
    assert.equal((await modules.read('some_fs')).toString(), 'a module');
    await provokes('kernel-module-unknown', () => modules.read('other'));
  });

  it('is taken from the cache without a package source', async () => {
    const config = process.env.APT_CONFIG;
    process.env.APT_CONFIG = '/nonexistent';
    try {
      assert.equal((await prepare(release)).release, release);
    } finally {
      process.env.APT_CONFIG = config;
    }
  });

  it('is prepared again after damage by hand, with a warning', async () => {
    const { tree, symvers } = (await prepare(release)).paths;
    for (const path of [join(tree, 'fs/one.c'), symvers, join(kernelFolder(release), 'manifest.json')]) {
      chmodSync(path, 0o644);
      writeFileSync(path, 'damaged\n');
      const state = await inspectCached(release);
      assert.equal(state.state, 'damaged', path);
      const before = report.warnings.length;
      const kernel = await prepare(release);
      assert.equal(report.warnings.length, before + 1);
      assert.equal(readFileSync(join(kernel.paths.tree, 'fs/one.c'), 'utf8'), 'int one;\n');
    }
    chmodSync(join(tree, 'fs'), 0o755);
    rmSync(join(tree, 'fs/one.c'));
    assert.deepEqual(await inspectCached(release), { state: 'damaged', file: 'tree/fs/one.c' });
    await prepare(release);
  });

  it('is used at once by a caller who takes the inspection over, which finds the damage', async () => {
    const { tree } = (await prepare(release)).paths;
    const inspections: Promise<string | undefined>[] = [];
    const deferred = () =>
      prepareKernel(release, { report, localCompiler: true, defer: (one) => inspections.push(one) });
    await deferred();
    assert.equal(await inspections[0], undefined);
    chmodSync(join(tree, 'fs/one.c'), 0o644);
    writeFileSync(join(tree, 'fs/one.c'), 'damaged\n');
    const derived = derivedFolder(await deferred());
    assert.equal(await inspections[1], 'tree/fs/one.c');
    mkdirSync(derived, { recursive: true });
    writeFileSync(join(derived, 'old'), 'made from the damaged file');
    await prepare(release);
    assert.ok(!existsSync(join(derived, 'old')));
    assert.equal(readFileSync(join(tree, 'fs/one.c'), 'utf8'), 'int one;\n');
  });

  it('survives that a preparation is killed, and that several prepare it at once', async () => {
    await removeKernel(release);
    const script = join(import.meta.dirname, 'prepare-one.ts');
    const start = (): ReturnType<typeof spawn> =>
      spawn(process.execPath, [script, release], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    for (const delay of [0, 30, 60, 120, 240]) {
      const killed = start();
      await new Promise((resolve) => killed.stdout!.once('data', resolve)); // it has begun
      await new Promise((resolve) => setTimeout(resolve, delay)); // any moment will do
      process.kill(-killed.pid!, 'SIGKILL');
    }
    const results = await Promise.all(
      [start(), start(), start()].map((child) => new Promise((resolve) => child.on('close', resolve))),
    );
    assert.deepEqual(results, [0, 0, 0]);
    assert.equal((await inspectCached(release)).state, 'complete');
  });

  it('is not removed while a build uses it', async () => {
    const kernel = await prepare(release);
    const [one, other] = [await holdKernel(kernel), await holdKernel(kernel)];
    one.release();
    await provokes('locked', () => removeKernel(release));
    assert.equal((await inspectCached(release)).state, 'complete');
    other.release();
  });

  it('is removed, and then is not there', async () => {
    const kernel = await prepare(release);
    const packages = (): string[] => readdirSync(join(folder.path, 'cache/kpatch/packages'));
    const image = (name: string): boolean => name.startsWith(`linux-image-${release}_`);
    await removeKernel(release);
    assert.equal(existsSync(kernelFolder(release)), false);
    assert.ok(packages().some(image), 'so that it can come back without a network');
    await prepare(release);
    await removeKernel(release, { packages: true });
    assert.ok(!packages().some(image));
    await provokes('kernel-not-prepared', () => removeKernel(release));
    await provokes('kernel-not-prepared', () => holdKernel(kernel));
    await provokes('kernel-not-prepared', () => removeKernel('../..'));
  });

  it('is refused where its parts do not belong together', async () => {
    await provokes('kernel-release-mismatch', () => prepare('6.1.0-90-amd64'));
    await provokes('kernel-release-mismatch', () => prepare('6.1.0-91-amd64'));
    await provokes('kernel-source-mismatch', () => prepare('6.1.0-92-amd64'));
    await provokes('kernel-config-drift', () => prepare('6.1.0-93-amd64'));
    const error = await provokes('kernel-prepare-failed', () => prepare('6.1.0-94-amd64'));
    assert.match(error.detail ?? '', /this tool fails/);
    await provokes('kernel-part-missing', () => prepare('6.1.0-96-amd64'));
    for (const wanted of ['6.1.0-77-amd64', '../../etc', '', '6.1.0-98-amd64; rm -rf /']) {
      await provokes('kernel-unknown', () => prepare(wanted));
    }
    for (const key of ['6.1.0-90-amd64', '6.1.0-94-amd64'])
      assert.equal((await inspectCached(key)).state, 'incomplete');
  });

  it('of PREEMPT_RT needs the source with those patches', async () => {
    const error = await provokes('kernel-source-mismatch', () => prepare('6.1.0-89-rt-amd64'));
    assert.match(error.message, /PREEMPT_RT/);
  });

  it("is found under Ubuntu's names too", async () => {
    const kernel = await prepare('6.1.0-60-generic');
    assert.equal(kernel.sourceVersion, '6.1.0-60.62');
    assert.deepEqual(new KernelModules(kernel).names, ['ubuntu_fs']);
    assert.ok(existsSync(join(kernel.paths.tree, 'fs/one.c')));
  });

  it('of a source package of its own has headers and source of its name (Ubuntu HWE)', async () => {
    const kernel = await prepare('6.1.0-61-generic');
    assert.equal(kernel.sourceVersion, '6.1.0-61.63~22.04.1');
    const names = kernel.packages.map(({ name }) => name);
    assert.ok(names.includes('linux-hwe-6.1-headers-6.1.0-61'), names.join(' '));
    assert.equal(names.at(-1), 'linux-hwe-6.1-source-6.1.0');
    assert.ok(existsSync(join(kernel.paths.tree, 'fs/one.c')));
  });

  it('without CONFIG_LIVEPATCH can be prepared, but not patched', async () => {
    const kernel = await prepare('6.1.0-95-amd64');
    assert.equal(kernel.livepatch, false);
    await provokes('kernel-no-livepatch', () => requireLivepatch(kernel));
  });

  it('is not begun where it cannot fit on the disk', async () => {
    const wanted = '6.1.0-88-amd64';
    const offer = { release: wanted, distribution: 'test', sourceVersion: '1', packages: [], neededBytes: 1e18 };
    const nothing = (): Promise<never> => Promise.reject(new Error('nothing may be fetched'));
    const provider: KernelProvider = {
      name: 'test',
      newest: async () => undefined,
      known: async () => [],
      find: async () => ({ ...offer, fetch: nothing, unpack: nothing }),
    };
    await provokes('disk-full', () => prepareKernel(wanted, { report, providers: [provider] }));
  });

  it('says when the mirror no longer has a file', async () => {
    rmSync(join(source.folder, 'repository', `linux-image-${release}_6.1.99-1.deb`));
    rmSync(join(folder.path, 'cache/kpatch/packages'), { recursive: true });
    await provokes('package-gone', () => prepare(release));
  });

  it('may be given by its parts', async () => {
    const given = join(folder.path, 'given');
    writeFiles(join(given, 'source'), { ...sourceFiles({}), 'fs/one.o': 'an object of somebody' });
    writeFiles(
      join(given, 'headers'),
      headerFiles({
        release,
        version: '',
        config: '# CONFIG_LIVEPATCH is not set\nCONFIG_CC_VERSION_TEXT="gcc (test) 1.2.3"\n',
      }),
    );
    const image = join(source.folder, 'build', `linux-image-${release}_6.1.99-1/boot/vmlinuz-${release}`);
    const parts = { image, headers: join(given, 'headers'), source: join(given, 'source') };
    const kernel = await prepareCustomKernel(parts, { report });
    assert.equal(kernel.release, release);
    assert.equal(kernel.distribution, 'custom');
    assert.equal(existsSync(join(kernel.paths.tree, 'fs/one.o')), false);
    assert.equal((await prepareCustomKernel(parts, { report })).paths.root, kernel.paths.root);
    // An image with symbols is compared with the image on every use, whether the kernel is prepared or not.
    assert.ok(kernel.buildId !== undefined);
    await prepareCustomKernel({ ...parts, debugImage: kernel.paths.vmlinux }, { report });
    await provokes('kernel-release-mismatch', () =>
      prepareCustomKernel({ ...parts, debugImage: process.execPath }, { report }),
    );
    await provokes('kernel-no-livepatch', () => requireLivepatch(kernel));
    const compiler = await provokes('kernel-compiler', () => checkCompiler(kernel));
    assert.match(compiler.message, /gcc \(test\) 1\.2\.3/);
    assert.equal((await checkCompiler(kernel, { accept: true })).same, false);
    rmSync(join(given, 'headers/Module.symvers'));
    await provokes('kernel-part-missing', () => prepareCustomKernel(parts, { report }));
    await provokes('file-unreadable', () => prepareCustomKernel({ ...parts, image: '/nonexistent' }, { report }));
    await provokes('kernel-image-format', () =>
      prepareCustomKernel({ ...parts, image: join(given, 'source/Makefile') }, { report }),
    );
  });
});
