/** A package source with a kernel of a few functions, made by the test: Debian packages, an apt configuration of its own. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bzImage, compile, linkKernel } from './fake-kernel.ts';

export type Files = Readonly<Record<string, string | Buffer>>;

export function writeFiles(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** A folder that apt takes for its package source when `APT_CONFIG` names its configuration. */
export class PackageSource {
  readonly folder: string;
  readonly #added = new Set<string>();

  constructor(folder: string) {
    this.folder = folder;
    writeFiles(folder, {
      'repository/Packages': '',
      'sources.list': `deb [trusted=yes] file:${folder}/repository ./\n`,
      'apt.conf': [
        `Dir::State "${folder}/state";`,
        `Dir::State::status "${folder}/status";`,
        `Dir::Cache "${folder}/cache";`,
        `Dir::Etc::sourcelist "${folder}/sources.list";`,
        'Dir::Etc::sourceparts "-";',
        'APT::Sandbox::User "root";',
        '',
      ].join('\n'),
      status: '',
      'state/lists/partial/.keep': '',
      'cache/archives/partial/.keep': '',
    });
  }

  /** The environment in which apt knows only this source. */
  get environment(): Record<string, string> {
    return { APT_CONFIG: join(this.folder, 'apt.conf') };
  }

  /** Builds a package and lists it. */
  add(
    name: string,
    version: string,
    fields: Readonly<Record<string, string>>,
    files: Files,
    links: Readonly<Record<string, string>> = {},
  ): void {
    if (this.#added.has(`${name}=${version}`)) return; // kernels of one version share packages
    this.#added.add(`${name}=${version}`);
    const tree = join(this.folder, 'build', `${name}_${version}`);
    const control = {
      Package: name,
      Version: version,
      Architecture: 'all',
      Maintainer: 'A Test <test@example.org>',
      ...fields,
      Description: 'made by a test',
    };
    const text = Object.entries(control)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join('');
    writeFiles(tree, { ...files, 'DEBIAN/control': text });
    for (const [path, target] of Object.entries(links)) symlinkSync(target, join(tree, path));
    const file = `${name}_${version}.deb`;
    const path = join(this.folder, 'repository', file);
    execFileSync('dpkg-deb', ['--build', '--root-owner-group', '-Znone', tree, path], { stdio: 'ignore' });
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
    const entry = `${text}Filename: ./${file}\nSize: ${statSync(path).size}\nSHA256: ${digest}\n\n`;
    appendFileSync(join(this.folder, 'repository/Packages'), entry);
  }
}

export interface FakeKernel {
  readonly release: string;
  /** Version of the source package, as `6.1.99-1`. */
  readonly version: string;
  /** What the headers say in utsrelease.h; the release unless a test wants otherwise. */
  readonly headersRelease?: string;
  /** The banner's release. */
  readonly imageRelease?: string;
  /** SUBLEVEL of the source's Makefile. */
  readonly sublevel?: number;
  /** Lines added to the source's Makefile. */
  readonly makefile?: string;
  readonly config?: string;
}

/** C of a kernel that says it is this release. */
export const kernelCode = (release: string): string => `
const char linux_banner[] = "Linux version ${release} (debian@test) (gcc-12) #1 SMP\\n";
int a(void) { return 1; } int b(void) { return 2; } int c(void) { return 3; } int d(void) { return 4; } int e(int x) { return x; }
`;

/** The source: a Makefile whose `modules_prepare` makes a tool, as little as the preparation needs. */
export function sourceFiles({ sublevel = 99, makefile = '' }: Partial<FakeKernel>): Files {
  return {
    Makefile: [
      'VERSION = 6',
      'PATCHLEVEL = 1',
      `SUBLEVEL = ${sublevel}`,
      '-include .kernelvariables',
      'filechk_kernel.release = echo wrong',
      'modules_prepare:',
      '\t@mkdir -p scripts/basic',
      '\t@$(filechk_kernel.release) > scripts/basic/fixdep',
      makefile,
      '',
    ].join('\n'),
    'fs/one.c': 'int one;\n',
    'Documentation/index.rst': 'Documentation\n',
  };
}

export function headerFiles({ release, headersRelease = release, config }: FakeKernel): Files {
  return {
    '.config':
      config ??
      'CONFIG_LIVEPATCH=y\nCONFIG_STACKTRACE=y\nCONFIG_HAVE_RELIABLE_STACKTRACE=y\nCONFIG_CC_VERSION_TEXT="gcc (test) 1.2.3"\nCONFIG_LOCALVERSION=""\n',
    'Module.symvers': '0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n',
    'include/config/auto.conf': 'CONFIG_LIVEPATCH=y\nCONFIG_STACKTRACE=y\nCONFIG_HAVE_RELIABLE_STACKTRACE=y\n',
    'include/generated/autoconf.h': '#define CONFIG_LIVEPATCH 1\n',
    'include/generated/utsrelease.h': `#define UTS_RELEASE "${headersRelease}"\n`,
    'include/generated/uapi/linux/version.h': '#define LINUX_VERSION_CODE 393571\n#define LINUX_VERSION_SUBLEVEL 99\n',
  };
}

/** Puts the five packages of a kernel into the source, as Debian divides and names them. */
export function addKernel(source: PackageSource, kernel: FakeKernel): void {
  const { release, version } = kernel;
  const work = join(source.folder, 'work', release, version);
  mkdirSync(work, { recursive: true });
  const vmlinux = linkKernel(work, [compile(work, 'main', kernelCode(kernel.imageRelease ?? release))]);
  const below = (folder: string, files: Files): Files =>
    Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));
  const headers = `usr/src/linux-headers-${release}`;
  source.add(
    `linux-image-${release}`,
    version,
    { Source: `linux-signed-amd64 (${version.replace('-', '+')})`, 'Built-Using': `linux (= ${version})` },
    {
      [`boot/vmlinuz-${release}`]: bzImage(vmlinux, 'xz'),
      [`lib/modules/${release}/kernel/fs/some-fs.ko`]: 'a module',
      [`lib/modules/${release}/modules.builtin`]: 'kernel/fs/built-in-fs.ko\n',
    },
  );
  source.add(
    `linux-headers-${release}`,
    version,
    { Depends: `linux-headers-${release}-common (= ${version}), linux-kbuild-6.1 (>= ${version}), gcc-12` },
    {
      ...below(headers, headerFiles(kernel)),
      [`${headers}/Makefile`]: `include /usr/src/linux-headers-${release}-common/Makefile\n`,
    },
  );
  source.add(
    `linux-headers-${release}-common`,
    version,
    {},
    { [`usr/src/linux-headers-${release}-common/Makefile`]: '# common\n' },
  );
  source.add('linux-kbuild-6.1', version, {}, { 'usr/lib/linux-kbuild-6.1/scripts/Kbuild.include': '# kbuild\n' });
  addSource(source, kernel);
}

export function addSource(source: PackageSource, kernel: FakeKernel): void {
  const work = join(source.folder, 'work', 'source', kernel.version);
  writeFiles(join(work, 'linux-source-6.1'), sourceFiles(kernel));
  execFileSync('tar', ['-cJf', join(work, 'source.tar.xz'), '-C', work, 'linux-source-6.1']);
  source.add(
    'linux-source-6.1',
    kernel.version,
    {},
    { 'usr/src/linux-source-6.1.tar.xz': readFileSync(join(work, 'source.tar.xz')) },
  );
}

/**
 * The same as Ubuntu divides and names it: modules apart, no kbuild package, the source packed by bzip2 in a folder of its own. `origin` is the
 * source package: a later series has its own, as `linux-hwe-6.1`.
 */
export function addUbuntuKernel(source: PackageSource, kernel: FakeKernel, origin = 'linux'): void {
  const { release, version } = kernel;
  const abi = release.replace(/-[a-z]+$/, '');
  const work = join(source.folder, 'work', release);
  mkdirSync(work, { recursive: true });
  const image = bzImage(linkKernel(work, [compile(work, 'main', kernelCode(release))]), 'lz4');
  source.add(
    `linux-image-${release}`,
    version,
    { Source: origin.replace('linux', 'linux-signed'), 'Built-Using': `${origin} (= ${version})` },
    {
      [`boot/vmlinuz-${release}`]: image,
    },
  );
  source.add(`linux-modules-${release}`, version, {}, { [`lib/modules/${release}/kernel/ubuntu-fs.ko`]: 'a module' });
  const headers = Object.entries(headerFiles(kernel)).map(([name, content]) => [
    `usr/src/linux-headers-${release}/${name}`,
    content,
  ]);
  source.add(
    `linux-headers-${release}`,
    version,
    { Depends: `${origin}-headers-${abi}, libc6` },
    Object.fromEntries(headers) as Files,
  );
  source.add(`${origin}-headers-${abi}`, version, {}, { [`usr/src/${origin}-headers-${abi}/Makefile`]: '# common\n' });
  const name = `${origin}-source-6.1.0`;
  writeFiles(join(work, name), sourceFiles(kernel));
  execFileSync('tar', ['-cjf', join(work, 'source.tar.bz2'), '-C', work, name]);
  const below = `usr/src/${name}/${name}.tar.bz2`;
  source.add(
    name,
    version,
    {},
    { [below]: readFileSync(join(work, 'source.tar.bz2')) },
    { [`usr/src/${name}.tar.bz2`]: `${name}/${name}.tar.bz2` },
  );
}
