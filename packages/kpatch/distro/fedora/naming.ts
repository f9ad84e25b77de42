/** Names of the kernels of Fedora and the RHEL family elsewhere. */
import type { DistributionNaming } from '../naming.ts';

export const fedoraNaming: DistributionNaming = {
  packageType: 'rpm',
  osv: { rhel: 'Red Hat', almalinux: 'AlmaLinux', rocky: 'Rocky Linux' },
  otherEcosystems: ['SUSE', 'openSUSE', 'openEuler', 'Mageia', 'Azure Linux'],
  tags: ['el', 'fc', 'amzn', 'oe'],
  // kernel-install(8): they get `add` or `remove`, the release and more.
  kernelHooks: 'etc/kernel/install.d',
};
