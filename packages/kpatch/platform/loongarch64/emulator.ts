/** QEMU's `virt` machine. No test boots it yet. */
import { accelerators, type Emulator, virtMachine } from '../common/emulator.ts';

export const emulator: Emulator = {
  program: 'qemu-system-loongarch64',
  package: 'qemu-system-misc',
  ...virtMachine,
  ...accelerators(),
  console: 'ttyS0',
  agentPort: '/dev/ttyS1',
};
