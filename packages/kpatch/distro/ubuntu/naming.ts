/** Names of Ubuntu's kernels elsewhere. */
import type { DistributionNaming } from '../naming.ts';

export const ubuntuNaming: DistributionNaming = {
  packageType: 'deb',
  osv: { ubuntu: 'Ubuntu' },
  banner: 'Ubuntu',
  kernelHooks: 'etc/kernel/postinst.d',
};
