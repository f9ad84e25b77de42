/** QEMU's `virt` machine. It has one serial port (PL011); the agent's is on PCI. */
import type { Emulator } from '../emulator.ts';
import { reseedProgram } from './reseed.ts';

export const emulator: Emulator = {
  program: 'qemu-system-aarch64',
  package: 'qemu-system-arm',
  // Without a display and network there is no PCI device whose firmware (efi-*.rom) QEMU would look for.
  arguments: ['-machine', 'virt,gic-version=max'],
  // Emulating the architected algorithm of pointer authentication (QARMA) takes most of the time of a guest; QEMU's own algorithm
  // gives values of the same form (QEMU, docs/system/arm/cpu-features.rst).
  tcg: { accel: 'tcg,thread=single', cpu: 'max,pauth-impdef=on' },
  kvm: { accel: 'kvm', cpu: 'host' },
  serial: (device) =>
    device === 'console' ? ['-serial', `chardev:${device}`] : ['-device', `pci-serial,chardev=${device}`],
  console: 'ttyAMA0',
  agentPort: '/dev/ttyS0',
  serialBytes: 2048, // some KB a second
  commandLine: ['random.trust_cpu=on'],
  // The virt machine has no vmgenid device up to QEMU 7.2. The program alone has the kernel reseed.
  keep: { generationId: [], reseedProgram },
};
