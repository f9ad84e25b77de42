/** See `platform/common/small-kernel.ts`. A pseries guest has its consoles from the hypervisor, and needs neither network nor disks. */
import { type SmallKernel, words } from '../common/small-kernel.ts';

export const smallKernel: SmallKernel = {
  options:
    words(`PPC64 PPC_BOOK3S_64 CPU_LITTLE_ENDIAN POWER8_CPU PPC_PSERIES PPC_POWERNV=n PPC_PMAC=n PPC_OF_BOOT_TRAMPOLINE NR_CPUS=8 RELOCATABLE
    PPC_64K_PAGES PPC_RADIX_MMU ALTIVEC VSX HVC_CONSOLE
    NET=n UNIX=n INET=n BLOCK=n BLK_DEV=n VIRTIO_MENU=n VIRTIO_PCI=n VIRTIO_BLK=n EXT2_FS=n STACKPROTECTOR=n STACKPROTECTOR_STRONG=n
    PERF_EVENTS=n SYSVIPC=n POSIX_MQUEUE=n AIO=n MODVERSIONS=n SLUB_DEBUG=n`),
  target: 'vmlinux',
  image: 'vmlinux',
};
