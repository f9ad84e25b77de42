/** Kernels as the RPM distributions divide and name them, from their published spec files; the packages are made here. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { dnfProvider, macrosOf, packagesOf } from '#kpatch/distro/fedora/dnf.ts';
import { KernelModules } from '#kpatch/kernel/modules.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { type Files, headerFiles, kernelCode, sourceFiles } from './fake-distribution.ts';
import { bzImage, compile, linkKernel } from './fake-kernel.ts';
import { makeRepository } from './fake-rpm.ts';

interface Layout {
  readonly title: string;
  readonly release: string;
  /** Name of the source package, which starts those of its packages. */
  readonly name: string;
  /** The flavour of the packages, as in `kernel-rt-core`. */
  readonly flavour?: string;
  readonly compiler: string;
  /** Below which folder the modules are. */
  readonly modules: string;
  /** Packages beside `core` and `devel`, each with the modules that it has. */
  readonly packages: Readonly<Record<string, readonly string[]>>;
  /** Compression of the image. */
  readonly image: Parameters<typeof bzImage>[1];
  /** The lines of the spec that name patches, and the patches. */
  readonly patchLines: string;
  readonly patches: Files;
  /** What fs/one.c says with all patches. */
  readonly patched: string;
}

const patch = (from: string, to: string): string => `--- a/fs/one.c\n+++ b/fs/one.c\n@@ -1 +1 @@\n-${from}\n+${to}\n`;

const layouts: readonly Layout[] = [
  {
    title: 'RHEL 8: modules in kernel-core, an archive with all patches inside',
    release: '4.18.0-553.el8_10.x86_64',
    name: 'kernel',
    compiler: 'gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-26)',
    modules: 'lib/modules',
    packages: { core: ['core'], modules: ['more'], 'modules-extra': ['extra'] },
    image: 'gzip',
    patchLines: 'Patch999999: linux-kernel-test.patch',
    patches: { 'linux-kernel-test.patch': '' },
    patched: 'int one;\n',
  },
  {
    title: 'RHEL 8, real time: a source package of its own',
    release: '4.18.0-553.rt7.342.el8_10.x86_64',
    name: 'kernel-rt',
    compiler: 'gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-26)',
    modules: 'lib/modules',
    packages: { core: ['core'], modules: ['more'] },
    image: 'gzip',
    patchLines: 'Patch999999: linux-kernel-test.patch',
    patches: { 'linux-kernel-test.patch': '' },
    patched: 'int one;\n',
  },
  {
    title: 'Rocky, Alma and others rebuilt from RHEL 9: a patch of their own after the empty ones',
    release: '5.14.0-611.35.1.el9_7.x86_64',
    name: 'kernel',
    compiler: 'gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-11)',
    modules: 'lib/modules',
    packages: { 'modules-core': ['core'], modules: ['more'] },
    image: 'xz',
    patchLines: `%if !%{nopatches}
Patch1: patch-%{patchversion}-redhat.patch
%endif
Patch999999: linux-kernel-test.patch
%if 0%{?rhel} > 8
Patch1000000: 1000-debrand-some-messages.patch
%endif`,
    patches: {
      'patch-5.14-redhat.patch': '',
      'linux-kernel-test.patch': '',
      '1000-debrand-some-messages.patch': patch('int one;', 'int unbranded;'),
    },
    patched: 'int unbranded;\n',
  },
  {
    title: 'RHEL 9, real time: a flavour of the one source package',
    release: '5.14.0-611.35.1.el9_7.x86_64+rt',
    name: 'kernel',
    flavour: 'rt',
    compiler: 'gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-11)',
    modules: 'lib/modules',
    packages: { 'modules-core': ['core'], modules: ['more'], 'modules-extra': ['extra'] },
    image: 'xz',
    patchLines: 'Patch1: patch-%{patchversion}-redhat.patch',
    patches: { 'patch-5.14-redhat.patch': '' },
    patched: 'int one;\n',
  },
  {
    title: 'CentOS Stream and RHEL 10, below /usr/lib',
    release: '6.12.0-124.8.1.el10_1.x86_64',
    name: 'kernel',
    compiler: 'gcc (GCC) 14.3.1 20250617 (Red Hat 14.3.1-2)',
    modules: 'usr/lib/modules',
    packages: { 'modules-core': ['core'], modules: ['more'], 'modules-extra': ['extra'] },
    image: 'zstd',
    patchLines: 'Patch1: patch-%{patchversion}-redhat.patch',
    patches: { 'patch-6.12-redhat.patch': '' },
    patched: 'int one;\n',
  },
  {
    title: 'Fedora: one patch with all changes',
    release: '6.17.7-300.fc43.x86_64',
    name: 'kernel',
    compiler: 'gcc (GCC) 15.2.1 20251022 (Red Hat 15.2.1-3)',
    modules: 'lib/modules',
    packages: { 'modules-core': ['core'], modules: ['more'], 'modules-extra': ['extra'] },
    image: 'zstd',
    patchLines: `%if 0%{?fedora}
Patch1: patch-%{patchversion}-redhat.patch
%endif
Patch999999: linux-kernel-test.patch`,
    patches: { 'patch-6.17-redhat.patch': patch('int one;', 'int fedora;'), 'linux-kernel-test.patch': '' },
    patched: 'int fedora;\n',
  },
];

/** `5.14.0`, and `611.35.1.el9_7`: version and release of the packages. */
function versionOf(release: string): [version: string, number: string] {
  const [, version, number] = /^([^-]+)-(.+)\.x86_64/.exec(release)!;
  return [version!, number!];
}

/** A spec with the constructs of the published ones: conditions, macros in Lua, archive and patches by macros, %{?dist}. */
function specOf({ release, name, flavour, modules, packages, patchLines }: Layout): string {
  const [version, number] = versionOf(release);
  const [, dist] = /(\.(?:el|fc)\w+)$/.exec(number)!;
  const at = `/${modules}/${release}`;
  const start = flavour === undefined ? '' : `${flavour}-`;
  const others = Object.entries(packages).filter(([part]) => part !== 'core');
  const part = (title: string, files: string): string =>
    `%package ${start}${title}\nSummary: ${title}\n%description ${start}${title}\nIt is a part.\n%files ${start}${title}\n${files}\n`;
  const list = (names: readonly string[] = []): string => names.map((one) => `${at}/kernel/${one}.ko.xz`).join('\n');
  return `%bcond_with toolchain_clang
%define uname_suffix() %{lua: local flavour = rpm.expand('%{?1:+%{1}}') print(flavour) }
%if 0%{!?nopatches:1}
%define nopatches 0
%endif
%define specversion ${version}
%define patchversion ${version.replace(/^(\d+\.\d+).*/, '$1')}
%define tarfile_release ${version}-${number}
Name: ${name}
Version: %{specversion}
Release: ${number.slice(0, -dist!.length)}%{?dist}
Summary: a kernel made by a test
License: GPL-2.0-only
Source0: linux-%{tarfile_release}.tar.xz
Source1: tree.tar
${patchLines}
%description
%{summary}
${part('core', [`${at}/vmlinuz`, `${at}/config`, `${at}/System.map`, list(packages.core)].join('\n'))}
${part('devel', `/usr/src/kernels/${release}`)}
${others.map(([title, names]) => part(title, list(names))).join('\n')}
%install
tar -x -C %{buildroot} -f %{SOURCE1}
`;
}

function treeOf(work: string, { release, compiler, modules, packages, image }: Layout): Files {
  const at = `${modules}/${release}`;
  const vmlinux = linkKernel(work, [compile(work, 'main', kernelCode(release))]);
  const [version] = versionOf(release);
  const [major = 0, minor = 0, sublevel = 0] = version.split('.').map(Number);
  const headers: Files = {
    ...headerFiles({
      release,
      version,
      config: `CONFIG_LIVEPATCH=y\nCONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT="${compiler}"\nCONFIG_LOCALVERSION=""\n`,
    }),
    'include/generated/uapi/linux/version.h': `#define LINUX_VERSION_CODE ${(major << 16) + (minor << 8) + sublevel}\n`,
  };
  const below = Object.entries(headers).map(([name, content]) => [`usr/src/kernels/${release}/${name}`, content]);
  const names = Object.values(packages).flat();
  return {
    ...Object.fromEntries(below),
    ...Object.fromEntries(names.map((name) => [`${at}/kernel/${name}.ko.xz`, 'a module'])),
    [`${at}/vmlinuz`]: bzImage(vmlinux, image),
    [`${at}/config`]: headers['.config']!,
    [`${at}/System.map`]: '0000000000000000 t a\n',
  };
}

/** The source with the version of the release. */
function sourceOf(release: string): Files {
  const [major, minor, sublevel] = versionOf(release)[0].split('.');
  const files = sourceFiles({});
  const text = String(files.Makefile).replace(/^VERSION.*\n.*\n.*\n/, '');
  return { ...files, Makefile: `VERSION = ${major}\nPATCHLEVEL = ${minor}\nSUBLEVEL = ${sublevel}\n${text}` };
}

describe('a kernel in the layout of an RPM distribution', { concurrency: 1 }, () => {
  const folder = temporaryFolder('kpatch-rpm-');
  const saved = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = join(folder.path, 'cache');
  after(() => {
    if (saved === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = saved;
    execFileSync('chmod', ['-R', 'u+w', folder.path]);
    folder.dispose();
  });
  for (const [index, layout] of layouts.entries()) {
    it(layout.title, async () => {
      const { release, packages, patches, patched, compiler } = layout;
      const [version, number] = versionOf(release);
      const place = join(folder.path, String(index));
      execFileSync('mkdir', ['-p', join(place, 'work')]);
      const args = makeRepository(place, {
        spec: specOf(layout),
        tree: treeOf(join(place, 'work'), layout),
        archive: `linux-${version}-${number}`,
        source: sourceOf(release),
        sources: patches,
        macros: macrosOf(release),
      });
      const kernel = await prepareKernel(release, {
        report: silentReporter(),
        providers: [dnfProvider({ arguments: args })],
      });
      assert.equal(kernel.release, release);
      assert.equal(kernel.sourceVersion, `${version}-${number}`);
      assert.equal(kernel.compiler.builtBy, compiler);
      assert.equal(kernel.packages.at(-1)!.name, layout.name, 'the source package');
      assert.equal(readFileSync(join(kernel.paths.tree, 'fs/one.c'), 'utf8'), patched);
      assert.deepEqual([...new KernelModules(kernel).names].sort(), Object.values(packages).flat().sort());
      assert.ok(existsSync(kernel.paths.symvers));
    });
  }
});

describe('the names of RPM packages', () => {
  it('follow from the release', () => {
    const expected: Readonly<Record<string, string>> = {
      '4.18.0-553.el8_10.x86_64': 'kernel 4.18.0-553.el8_10.x86_64',
      '4.18.0-553.rt7.342.el8_10.x86_64': 'kernel-rt 4.18.0-553.rt7.342.el8_10.x86_64',
      '5.14.0-611.35.1.el9_7.aarch64+64k': 'kernel-64k 5.14.0-611.35.1.el9_7.aarch64',
      '6.12.0-124.8.1.el10_1.aarch64+rt_64k': 'kernel-rt-64k 6.12.0-124.8.1.el10_1.aarch64',
      '6.17.7-300.fc43.x86_64+debug': 'kernel-debug 6.17.7-300.fc43.x86_64',
    };
    for (const [release, wanted] of Object.entries(expected)) {
      const { prefix, version } = packagesOf(release);
      assert.equal(`${prefix} ${version}`, wanted);
    }
  });

  it('tell the macros of the distribution that a spec file asks for', () => {
    assert.deepEqual(macrosOf('5.14.0-611.35.1.el9_7.x86_64+rt'), { dist: '.el9_7', rhel: '9' });
    assert.deepEqual(macrosOf('6.17.7-300.fc43.x86_64'), { dist: '.fc43', fedora: '43' });
    assert.deepEqual(macrosOf('6.1.0-own'), {});
  });
});
