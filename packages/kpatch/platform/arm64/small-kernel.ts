/** See `platform/common/small-kernel.ts`. Linux 7.2 is the first that selects HAVE_LIVEPATCH here (arch/arm64/Kconfig). */
import { type SmallKernel, words } from '../common/small-kernel.ts';

export const smallKernel: SmallKernel = {
  options:
    words(`PCI PCI_HOST_GENERIC SERIAL_AMBA_PL011 SERIAL_AMBA_PL011_CONSOLE SERIAL_8250 SERIAL_8250_PCI RTC_CLASS RTC_DRV_PL031
    RELOCATABLE RANDOMIZE_BASE ARM64_PTR_AUTH ARM64_PTR_AUTH_KERNEL ARM64_BTI`),
  target: 'Image.gz',
  image: 'arch/arm64/boot/Image.gz',
};
