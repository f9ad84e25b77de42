/** QEMU's `pseries` machine: serial ports are hypervisor consoles. No test boots it yet. */
import { accelerators, type Emulator } from '../emulator.ts';

export const emulator: Emulator = {
  program: 'qemu-system-ppc64',
  package: 'qemu-system-ppc',
  arguments: ['-machine', 'pseries'],
  ...accelerators('POWER9'),
  serial: (device) => ['-serial', `chardev:${device}`],
  console: 'hvc0',
  agentPort: '/dev/hvc1',
  commandLine: [],
};
