/** Boots a kernel in a virtual machine. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder, writeError } from '../base/files.ts';
import type { Emulator } from '../platform/common/emulator.ts';
import { giveFolder, shareFolder } from '../sandbox/user.ts';
import { initScript } from './agent/agent.ts';
import { Console } from './agent/console.ts';
import { type GuestFiles, initramfs } from './files/initramfs.ts';
import { type GuestModules, moduleFiles } from './files/modules.ts';
import { Guest } from './guest.ts';
import { type Accelerations, chooseAcceleration } from './qemu/acceleration.ts';
import { type MemoryPlace, takePlace } from './qemu/budget.ts';
import { emulatorFor, machineFor } from './qemu/emulator.ts';
import { type Acceleration, type Machine, startQemu } from './qemu/qemu.ts';

export interface BootOptions {
  /** The kernel image (`vmlinuz`) to boot. */
  readonly image: string;
  /** Files for the guest, by their path in it. */
  readonly files?: GuestFiles;
  /** Kernel modules for the guest; `modprobe` finds them there, and those of `load` are loaded at boot. */
  readonly modules?: GuestModules;
  /** MiB (default: 512). */
  readonly memoryMiB?: number;
  /** Processors of the guest (default: 2). */
  readonly cpus?: number;
  /** Added to the kernel's command line. */
  readonly kernelArguments?: readonly string[];
  /** `auto` uses KVM where a probe has shown that it works. The environment's KPATCH_VM_ACCEL overrides it. */
  readonly acceleration?: Accelerations;
  /** Milliseconds until the guest must be up (default: 120,000). As all deadlines longer on a busy machine. */
  readonly bootDeadlineMs?: number;
  /** Called with each line of the guest's console, made readable. */
  readonly onConsole?: (line: string) => void;
  /** Called once when other guests must end first. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal;
  /** Replaces busybox and the agent's own `/init`; used by `boot` of a whole system. */
  readonly init?: string;
  /** Further arguments of QEMU. */
  readonly devices?: readonly string[];
}

/**
 * Boots a kernel with busybox and the caller's files, and waits until it takes commands. The caller must `stop` it
 * (or hold it with `await using`).
 * Errors: `guest-panicked`, `guest-not-booted`, `guest-silent`, `guest-ended`, `guest-memory`, `guest-file`,
 * `guest-module`, `busybox-missing`, `tool-missing`, `file-unreadable`, `interrupted`.
 */
export async function boot(options: BootOptions): Promise<Guest> {
  const modules = options.modules === undefined ? {} : await moduleFiles(options.modules);
  const platform = machineFor(options.image);
  const init = options.init ?? initScript(options.modules?.load ?? [], platform.emulator);
  const archive = await initramfs({ ...modules, ...options.files }, init, platform);
  return prepared(options, archive, (ground) => bootOn(options, ground));
}

/** What a guest has on this machine before it starts. */
export interface Ground {
  /** A private folder, removed with the guest. */
  readonly folder: string;
  /** Path of its first filesystem. */
  readonly initramfs: string;
  readonly acceleration: Acceleration;
  readonly place: MemoryPlace;
  /** Gives place and folder back. */
  dispose(): void;
}

/**
 * Takes a place, makes the folder with the initramfs and chooses the acceleration; when `use` throws, all is given back.
 */
export async function prepared(
  options: BootOptions,
  archive: Uint8Array,
  use: (ground: Ground) => Promise<Guest>,
): Promise<Guest> {
  const { memoryMiB = 512 } = options;
  const place = await takePlace(memoryMiB, undefined, options.onWait);
  const folder = temporaryFolder('kpatch-guest-');
  const dispose = (): void => {
    place.release();
    folder.dispose();
  };
  try {
    const path = join(folder.path, 'initramfs');
    shareFolder(folder.path);
    write(path, archive);
    giveFolder(path);
    const acceleration = await chooseAcceleration(options.acceleration ?? 'auto', (kvm, deadlineMs) =>
      start({ ...options, bootDeadlineMs: deadlineMs }, path, kvm, place, () => {}).then((guest) => guest.stop()),
    );
    return await use({ folder: folder.path, initramfs: path, acceleration, place, dispose });
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Boots with what was prepared. Errors: as `boot`. */
export function bootOn(options: BootOptions, { initramfs, acceleration, place, dispose }: Ground): Promise<Guest> {
  return start(options, initramfs, acceleration, place, dispose);
}

async function start(
  options: BootOptions,
  initramfs: string,
  acceleration: Acceleration,
  place: MemoryPlace,
  dispose: () => void,
): Promise<Guest> {
  const { image, bootDeadlineMs = 120_000 } = options;
  const qemu = await startQemu(machineOf(options, initramfs, acceleration));
  place.occupy(qemu.pid);
  const guest = new Guest({ qemu, console: new Console(options.onConsole), acceleration, dispose });
  await guest.greet(bootDeadlineMs, image, options.signal);
  return guest;
}

/** The machine that these options describe. `initramfs` is the path of its first filesystem. */
export function machineOf(options: BootOptions, initramfs: string, acceleration: Acceleration): Machine {
  const { image, memoryMiB = 512, cpus = 2, kernelArguments = [], devices = [] } = options;
  const emulator = emulatorFor(image);
  const commandLine = [...standardArguments(emulator), ...kernelArguments].join(' ');
  return { emulator, image, initramfs, memoryMiB, cpus, acceleration, commandLine, more: devices };
}

/**
 * A panic or an oops ends the guest at once (`panic=-1` reboots, and QEMU's -no-reboot then exits). Errors and warnings
 * go to the console, the rest is in the kernel's log. The limits of the kernel's own watchdogs are those of a machine
 * that is not emulated on shared processors, so they are raised (Documentation/admin-guide/kernel-parameters.txt).
 */
const standardArguments = ({ console, commandLine }: Emulator): readonly string[] => [
  `console=${console}`,
  'panic=-1',
  'oops=panic',
  'quiet',
  'loglevel=5',
  ...commandLine,
  'watchdog_thresh=60',
  'rcupdate.rcu_cpu_stall_timeout=120',
];

function write(path: string, content: Uint8Array): void {
  try {
    writeFileSync(path, content);
  } catch (error) {
    throw writeError(path, error);
  }
}
