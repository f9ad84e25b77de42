import assert from 'node:assert/strict';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { installedProvider } from '#kpatch/distro/installed.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { inspectCached } from '#kpatch/prepare/manifest.ts';
import { removeKernel } from '#kpatch/prepare/remove.ts';
import { provokes } from '../provoke.ts';
import { addKernel, addSource, PackageSource, writeFiles } from './fake-distribution.ts';

const release = '6.1.0-98-amd64';
const version = '6.1.99-1';

/** dpkg's database of a machine on which these packages are installed: what each is, and the files of each. */
function database(
  packages: Readonly<Record<string, { fields: string; files: readonly string[] }>>,
): Record<string, string> {
  const status = Object.entries(packages).map(
    ([name, { fields }]) =>
      `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nMaintainer: A Test <t@example.org>\n${fields}\nDescription: test\n\n`,
  );
  const lists = Object.entries(packages).map(([name, { files }]) => [
    `var/lib/dpkg/info/${name}.list`,
    `${files.join('\n')}\n`,
  ]);
  return { 'var/lib/dpkg/status': status.join(''), ...Object.fromEntries(lists) };
}

describe('an installed kernel', () => {
  const folder = temporaryFolder('kpatch-installed-');
  const root = join(folder.path, 'root');
  const source = new PackageSource(join(folder.path, 'apt'));
  const report = silentReporter();
  const saved = { ...process.env };
  const options = { report, providers: [installedProvider(root)] };

  before(() => {
    Object.assign(process.env, source.environment, { XDG_CACHE_HOME: join(folder.path, 'cache') });
    addKernel(source, { release, version });
    const built = (name: string): string => join(source.folder, 'build', `${name}_${version}`);
    const image = `boot/vmlinuz-${release}`;
    const config = `usr/src/linux-headers-${release}`;
    const files: Record<string, Buffer | string> = {
      [image]: readFileSync(join(built(`linux-image-${release}`), image)),
      [`lib/modules/${release}/kernel/some.ko`]: 'a module',
    };
    for (const name of [
      '.config',
      'Module.symvers',
      'include/config/auto.conf',
      'include/generated/autoconf.h',
      'include/generated/utsrelease.h',
      'include/generated/uapi/linux/version.h',
    ]) {
      files[`${config}/${name}`] = readFileSync(join(built(`linux-headers-${release}`), config, name));
    }
    const packages = {
      [`linux-image-${release}`]: {
        fields: `Version: ${version}\nSource: linux-signed-amd64 (6.1.99+1)\nBuilt-Using: linux (= ${version})`,
        files: [`/${image}`],
      },
    };
    writeFiles(root, { ...files, ...database(packages) });
    symlinkSync(join(root, config), join(root, `lib/modules/${release}/build`));
  });
  after(() => {
    process.env = saved;
    folder.dispose();
  });

  it('is used where it lies, with the source of its version from apt', async () => {
    const kernel = await prepareKernel(release, options);
    assert.equal(kernel.sourceVersion, version);
    assert.equal(kernel.paths.image, join(root, `boot/vmlinuz-${release}`));
    assert.equal(kernel.paths.headers, join(root, `usr/src/linux-headers-${release}`));
    assert.ok(existsSync(join(kernel.paths.tree, 'fs/one.c')));
    assert.equal((await inspectCached(release)).state, 'complete');
  });

  it('is prepared again when the package was replaced by another build', async () => {
    writeFiles(root, {
      [`usr/src/linux-headers-${release}/Module.symvers`]: '0x00000001\tother\tvmlinux\tEXPORT_SYMBOL\t\n',
    });
    assert.equal((await inspectCached(release)).state, 'damaged');
    await removeKernel(release);
  });

  it('with the source of another version only is an error that names both', async () => {
    const empty = new PackageSource(join(folder.path, 'empty'));
    addSource(empty, { release, version: '6.1.100-1' });
    Object.assign(process.env, empty.environment);
    const status = readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8');
    writeFiles(root, {
      'usr/src/linux-source-6.1.tar.xz': 'another',
      ...{
        'var/lib/dpkg/status': `${status}Package: linux-source-6.1\nStatus: install ok installed\nArchitecture: all\nMaintainer: A Test <t@example.org>\nVersion: 6.1.100-1\nDescription: test\n\n`,
      },
      'var/lib/dpkg/info/linux-source-6.1.list': '/usr/src/linux-source-6.1.tar.xz\n',
    });
    const error = await provokes('kernel-source-mismatch', () => prepareKernel(release, options));
    assert.match(error.message, /6\.1\.100-1.*6\.1\.99-1/);
  });

  it('that is not there is left to other providers', async () => {
    await provokes('kernel-unknown', () => prepareKernel('6.1.0-1-amd64', options));
  });
});
