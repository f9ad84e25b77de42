import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { dnfProvider } from '#kpatch/distro/fedora/dnf.ts';
import { filesOf } from '#kpatch/distro/fedora/rpm.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { provokes } from '../provoke.ts';
import { headerFiles, kernelCode, sourceFiles } from './fake-distribution.ts';
import { bzImage, compile, linkKernel } from './fake-kernel.ts';
import { makeRepository } from './fake-rpm.ts';

const version = '6.1.99';
const number = '7.fc40';
const release = `${version}-${number}.x86_64`;

/** A spec as Fedora's kernel has it in what matters: the archive, patches by number, packages of image, modules, headers. */
const spec = `
%define tarball linux-%{version}
Name: kernel
Version: ${version}
Release: ${number}
Summary: a kernel made by a test
License: GPL-2.0-only
Source0: %{tarball}.tar.xz
Source1: tree.tar
Patch2: second.patch
Patch1: https://example.org/first.patch
Patch999999: linux-kernel-test.patch
%description
%{summary}
%package core
Summary: image
%description core
%package modules
Summary: modules
%description modules
%package devel
Summary: headers
%description devel
%install
tar -x -C %{buildroot} -f %{SOURCE1}
%files core
/lib/modules/${release}/vmlinuz
%files modules
/lib/modules/${release}/kernel
%files devel
/usr/src/kernels/${release}
`;

const patch = (from: string, to: string): string => `--- a/fs/one.c\n+++ b/fs/one.c\n@@ -1 +1 @@\n-${from}\n+${to}\n`;

describe('a kernel of a dnf repository', () => {
  const folder = temporaryFolder('kpatch-dnf-');
  const at = (...parts: string[]): string => join(folder.path, ...parts);
  const saved = process.env.XDG_CACHE_HOME;
  const report = silentReporter();
  const provider = dnfProvider({ arguments: ['--config', at('dnf.conf')] });

  before(() => {
    process.env.XDG_CACHE_HOME = at('cache');
    const vmlinux = linkKernel(folder.path, [compile(folder.path, 'main', kernelCode(release))]);
    const headers = Object.entries(headerFiles({ release, version })).map(([name, content]) => [
      `usr/src/kernels/${release}/${name}`,
      content,
    ]);
    makeRepository(folder.path, {
      spec,
      tree: {
        ...Object.fromEntries(headers),
        [`lib/modules/${release}/vmlinuz`]: bzImage(vmlinux, 'gzip'),
        [`lib/modules/${release}/kernel/some.ko`]: 'a module',
      },
      archive: `linux-${version}`,
      source: sourceFiles({}),
      sources: {
        'first.patch': patch('int one;', 'int two;'),
        'second.patch': patch('int two;', 'int three;'),
        'linux-kernel-test.patch': '',
      },
    });
  });
  after(() => {
    if (saved === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = saved;
    execFileSync('chmod', ['-R', 'u+w', folder.path]);
    folder.dispose();
  });

  it('is fetched and prepared, with the patches that the spec of its source package names', async () => {
    const kernel = await prepareKernel(undefined, { report, providers: [provider] });
    assert.equal(kernel.release, release);
    assert.equal(kernel.distribution, 'fedora');
    assert.equal(kernel.sourceVersion, `${version}-${number}`);
    assert.deepEqual(
      kernel.packages.map(({ name }) => name),
      ['kernel-core', 'kernel-modules', 'kernel-devel', 'kernel'],
    );
    assert.equal(readFileSync(join(kernel.paths.tree, 'fs/one.c'), 'utf8'), 'int three;\n');
    assert.ok(existsSync(join(kernel.paths.modules!, 'kernel/some.ko')));
    assert.equal(readFileSync(join(kernel.paths.tree, 'scripts/basic/fixdep'), 'utf8'), `${release}\n`);
  });

  it('is unknown, or lacks a part', async () => {
    await provokes('kernel-unknown', () => prepareKernel('6.1.98-1.fc40.x86_64', { report, providers: [provider] }));
    rmSync(at('repository', `kernel-devel-${release}.rpm`));
    execFileSync('createrepo_c', ['-q', at('repository')]);
    execFileSync('rm', ['-rf', at('dnf-cache')]);
    await provokes('kernel-part-missing', async () =>
      provider.find(release, { report, packages: at('packages'), cache: at('cache') }),
    );
  });
});

it('files of a spec are told in the order of their numbers', () => {
  assert.deepEqual(filesOf('Source: a.tar\nPatch10: ten\nPATCH2: https://x/two\nSource3: c\nPatchy: no\n'), {
    sources: ['a.tar', 'c'],
    patches: ['two', 'ten'],
  });
});
