/** QEMU's `virt` machine. No test boots it yet. */
import { accelerators, type Emulator, virtMachine } from '../emulator.ts';

export const emulator: Emulator = {
  program: 'qemu-system-aarch64',
  package: 'qemu-system-arm',
  ...virtMachine,
  ...accelerators(),
  console: 'ttyAMA0',
  agentPort: '/dev/ttyS0',
};
