/** QEMU's machine with channel devices. The console is SCLP's, the agent's port virtio's. No test boots it yet. */
import { accelerators, type Emulator } from '../common/emulator.ts';

export const emulator: Emulator = {
  program: 'qemu-system-s390x',
  package: 'qemu-system-misc',
  arguments: ['-machine', 's390-ccw-virtio'],
  ...accelerators(),
  serial: (device) =>
    device === 'console'
      ? ['-serial', `chardev:${device}`]
      : ['-device', 'virtio-serial-ccw', '-device', `virtconsole,chardev=${device}`],
  console: 'ttysclp0',
  agentPort: '/dev/hvc0',
  commandLine: [],
};
