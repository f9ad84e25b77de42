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

/** The package to install for a program; defaults to the name of the program. */
export function packageOf(tool: string): string {
  return packages[tool.slice(tool.lastIndexOf('/') + 1)] ?? tool;
}
