/** QEMU's `pseries` machine: serial ports are hypervisor consoles. No test boots it yet. */
import { accelerators, type Emulator } from '../common/emulator.ts';

export const emulator: Emulator = {
  program: 'qemu-system-ppc64',
  package: 'qemu-system-ppc',
  // Virtual Open Firmware (QEMU 6.2 and later) starts the kernel at once. Emulated processors do not have the mitigations that are
  // switched off here; QEMU warns where they are on.
  arguments: ['-machine', 'pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off'],
  ...accelerators('POWER9'),
  serial: (device) => ['-serial', `chardev:${device}`],
  console: 'hvc0',
  agentPort: '/dev/hvc1',
  commandLine: [],
};
