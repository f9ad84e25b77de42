/** Names of live patch packages, as the field has them. */
import { taggedRelease } from '../../distro/names.ts';
import { platformNamed } from '../../platform/registry.ts';

export interface PackageNames {
  readonly deb: string;
  readonly rpm: string;
  /** What rpm puts after the release: `.el9_4` for kernels of the RHEL family, else nothing. */
  readonly dist: string;
}

/**
 * `kpatch-patch-<kernel>` for a kernel release. In rpm the dots of the kernel are underscores, and for kernels of the RHEL
 * family `.el9_4.x86_64` is not part of the name but of release and architecture:
 * `kpatch-patch-5_14_0-427_13_1-1-1.el9_4.x86_64`, as Red Hat names them. A Debian package's name may hold no underscore
 * (Debian Policy 5.6.1), so there the kernel stays as it is.
 */
export function packageNames(release: string): PackageNames {
  const tagged = taggedRelease(release);
  const { version, tag } =
    tagged !== undefined && /-[\d.]+$/.test(tagged.version) ? tagged : { version: release, tag: '' };
  return {
    deb: `kpatch-patch-${release.toLowerCase().replaceAll('_', '-')}`,
    rpm: `kpatch-patch-${version.replaceAll('.', '_')}`,
    dist: tag,
  };
}

/** File names of a version and release of a package. */
export function fileNames(
  names: PackageNames,
  version: number | string,
  release: number | string,
  arch: string,
): { deb: string; rpm: string } {
  return {
    deb: `${names.deb}_${version}-${release}_${debArch(arch)}.deb`,
    rpm: `${names.rpm}-${version}-${release}${names.dist}.${arch}.rpm`,
  };
}

/** Debian's name of an architecture that is named as `uname -m` names it. */
export function debArch(arch: string): string {
  return arch === 'noarch' ? 'all' : (platformNamed('uname', arch)?.naming.deb ?? arch);
}
