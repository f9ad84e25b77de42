/** Names of Debian's kernels elsewhere. */
import type { DistributionNaming } from '../naming.ts';

export const debianNaming: DistributionNaming = {
  packageType: 'deb',
  osv: { debian: 'Debian' },
  banner: 'Debian',
  changelogs: ['changelog.Debian.gz'],
  // kernel-img.conf(5): they get the release and the image.
  kernelHooks: 'etc/kernel/postinst.d',
};
