/** See `platform/common/small-kernel.ts`. Without network and disks, which a guest does not need here. */
import { type SmallKernel, words } from '../common/small-kernel.ts';

export const smallKernel: SmallKernel = {
  options:
    words(`MARCH_Z13 RELOCATABLE RANDOMIZE_BASE EXPOLINE EXPOLINE_AUTO CCW SCLP_TTY SCLP_CONSOLE SCLP_VT220_TTY SCLP_VT220_CONSOLE
    S390_GUEST VIRTIO_CONSOLE
    NET=n UNIX=n INET=n BLOCK=n BLK_DEV=n VIRTIO_PCI=n VIRTIO_BLK=n EXT2_FS=n STACKPROTECTOR=n STACKPROTECTOR_STRONG=n
    PERF_EVENTS=n SYSVIPC=n POSIX_MQUEUE=n AIO=n MODVERSIONS=n SLUB_DEBUG=n`),
  target: 'bzImage',
  image: 'arch/s390/boot/bzImage',
};
