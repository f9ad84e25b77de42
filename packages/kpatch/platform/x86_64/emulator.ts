/** QEMU's default machine for x86-64, with two of its serial ports. */
import { accelerators, type Emulator } from '../common/emulator.ts';
import { reseedProgram } from './reseed.ts';

export const emulator: Emulator = {
  program: 'qemu-system-x86_64',
  package: 'qemu-system-x86',
  arguments: [],
  // Emulated processors take turns in one thread. With a thread for each, QEMU has a race that real processors do not have:
  // one processor hits a breakpoint of the kernel's self-modification (arch/x86/kernel/alternative.c, text_poke_bp_batch)
  // after the other was told that every processor is past it, and the kernel dies. Guests of Linux 6.12 did so now and then.
  // Taking turns costs little: a processor that spins gives up its turn with each PAUSE.
  ...accelerators(),
  serial: (device) => ['-serial', `chardev:${device}`],
  // Both ports are built into the distributions' kernels.
  console: 'ttyS0',
  agentPort: '/dev/ttyS1',
  commandLine: ['random.trust_cpu=on', 'tsc=reliable'],
  keep: { generationId: ['-device', 'vmgenid,guid=auto'], reseedProgram },
};
