/** QEMU's `virt` machine (the serial port is a PL011). */
import { accelerators, type Emulator, virtMachine } from '../common/emulator.ts';
import { reseedProgram } from './reseed.ts';

export const emulator: Emulator = {
  program: 'qemu-system-aarch64',
  package: 'qemu-system-arm',
  ...virtMachine,
  // Without a display and network there is no PCI device whose firmware (efi-*.rom) QEMU would look for.
  arguments: ['-machine', 'virt,gic-version=max'],
  // Emulating the architected algorithm of pointer authentication (QARMA) takes most of the time of a guest; QEMU's own algorithm
  // gives values of the same form (QEMU, docs/system/arm/cpu-features.rst).
  ...accelerators('max,pauth-impdef=on'),
  console: 'ttyAMA0',
  agentPort: '/dev/ttyS0',
  serialBytes: 2048, // some KB a second
  commandLine: ['random.trust_cpu=on'],
  // The virt machine has no vmgenid device up to QEMU 7.2. The program alone has the kernel reseed.
  keep: { generationId: [], reseedProgram },
};
