/** The Debian package of each program that kpatch calls, for error messages and `kpatch doctor`. */
const packages: Readonly<Record<string, string>> = {
  'apt-cache': 'apt',
  ar: 'binutils',
  bc: 'bc',
  bison: 'bison',
  bwrap: 'bubblewrap',
  clang: 'clang',
  cpio: 'cpio',
  createrepo_c: 'createrepo-c',
  'dpkg-deb': 'dpkg',
  flex: 'flex',
  flock: 'util-linux',
  gcc: 'gcc',
  'gcc-12': 'gcc-12',
  gpg: 'gnupg',
  insmod: 'kmod',
  ld: 'binutils',
  make: 'make',
  modinfo: 'kmod',
  nm: 'binutils',
  objcopy: 'binutils',
  objdump: 'binutils',
  openssl: 'openssl',
  patch: 'patch',
  prlimit: 'util-linux',
  readelf: 'binutils',
  rpmbuild: 'rpm',
  rpm2cpio: 'rpm2cpio',
  rpmspec: 'rpm',
  setpriv: 'util-linux',
  tar: 'tar',
  xz: 'xz-utils',
  zstd: 'zstd',
};

/** The package to install for a program, also for that of a cross compiler; defaults to the name of the program. */
export function packageOf(tool: string): string {
  const name = tool.slice(tool.lastIndexOf('/') + 1);
  // `TRIPLE-gcc-12` is in gcc-12-TRIPLE, `TRIPLE-ld` and the like in binutils-TRIPLE, with dashes in the triple.
  const [, triple, program = '', version = ''] = /^(\w+-linux-gnu\w*)-([a-z+]+)(-\d+)?$/.exec(name) ?? [];
  if (triple === undefined) return packages[name] ?? name;
  const base = ['gcc', 'g++', 'cpp'].includes(program) ? `${program}${version}` : 'binutils';
  return `${base}-${triple.replaceAll('_', '-')}`;
}
