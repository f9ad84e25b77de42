/** Which Debian package holds each program that kpatch calls; one table for error messages and `kpatch doctor`. */
const packages: Readonly<Record<string, string>> = {
  ar: 'binutils',
  bc: 'bc',
  bison: 'bison',
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
  readelf: 'binutils',
  rpmbuild: 'rpm',
  tar: 'tar',
  xz: 'xz-utils',
  zstd: 'zstd',
};

/** The package to install for a program; the program's own name where the table has none. */
export function packageOf(tool: string): string {
  return packages[tool.slice(tool.lastIndexOf('/') + 1)] ?? tool;
}
