/** QEMU's `virt` machine. It has one serial port; the agent's is on PCI. No test boots it yet. */
import type { Emulator } from '../emulator.ts';

export const emulator: Emulator = {
  program: 'qemu-system-aarch64',
  package: 'qemu-system-arm',
  arguments: ['-machine', 'virt'],
  tcg: { accel: 'tcg,thread=single', cpu: 'max' },
  kvm: { accel: 'kvm', cpu: 'host' },
  serial: (device) =>
    device === 'console' ? ['-serial', `chardev:${device}`] : ['-device', `pci-serial,chardev=${device}`],
  console: 'ttyAMA0',
  agentPort: '/dev/ttyS0',
  commandLine: [],
};
