/**
 * One QEMU process. It never outlives this process: the kernel sends it SIGKILL when its parent dies (setpriv sets
 * PR_SET_PDEATHSIG, prctl(2)), however that happens; and on a normal end or Ctrl-C it is killed here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { onExit } from '../base/cleanup.ts';
import { fail } from '../base/errors/error.ts';
import { killGroup, run } from '../base/run.ts';

export const QEMU = 'qemu-system-x86_64';

export type Acceleration = 'tcg' | 'kvm';

export interface Machine {
  readonly image: string;
  readonly initramfs: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly acceleration: Acceleration;
  /** The kernel's command line. */
  readonly commandLine: string;
  /** Further arguments of QEMU: devices, drives. */
  readonly more?: readonly string[];
}

export interface Qemu {
  readonly pid: number;
  /** The guest's first serial port. */
  readonly console: Duplex;
  /** The guest's second serial port. */
  readonly channel: Duplex;
  /** Resolves once the process is gone, with how it ended in words; never rejects. */
  readonly ended: Promise<string>;
  /** What QEMU itself has said so far (bounded). */
  messages(): string;
  kill(): void;
}

let version: Promise<string> | undefined;

/** The version of QEMU, as `7.2.22`; asked once. Error: `tool-missing`. */
export function qemuVersion(): Promise<string> {
  version ??= run(QEMU, ['--version'], { timeoutMs: 120_000 }).then(
    ({ stdout }) => /version (\d[\w.]*)/.exec(stdout.toString())?.[1] ?? 'unknown',
  );
  return version;
}

/** Starts QEMU. Error: `tool-missing`. */
export async function startQemu(machine: Machine): Promise<Qemu> {
  await qemuVersion();
  // The shell closes the gap between the fork and the prctl: if the parent is gone by then, nothing is started.
  const guard = ['--pdeathsig', 'KILL', 'sh', '-c', '[ "$PPID" = "$0" ] && exec "$@"', String(process.pid)];
  const child = spawn('setpriv', [...guard, QEMU, ...argumentsOf(machine)], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(fail('tool-missing', { tool: 'setpriv', package: 'util-linux' }, { cause })));
  });
  return handleOf(child, child.pid!);
}

function handleOf(child: ChildProcess, pid: number): Qemu {
  let messages = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    messages = (messages + text).slice(-8192);
  });
  const kill = (): void => killGroup(pid);
  const forget = onExit(kill);
  const ended = new Promise<string>((resolve) => {
    child.on('close', (status, signal) => {
      forget();
      resolve(signal === null ? `QEMU exited with status ${status}` : `QEMU was killed by ${signal}`);
    });
  });
  const [, , , console, channel] = child.stdio as unknown as Duplex[];
  for (const stream of [console!, channel!]) stream.on('error', () => {}); // its end is seen by `ended`
  return {
    pid,
    console: console!,
    channel: channel!,
    ended,
    messages: () => messages,
    kill,
  };
}

/**
 * Emulated processors take turns in one thread. Where each has its own, QEMU loses a race that real processors cannot: one runs
 * into a breakpoint of the kernel's self-modification (arch/x86/kernel/alternative.c, text_poke_bp_batch) after the other was told
 * that all have gone past it, and the kernel dies of it, as guests of Linux 6.12 did now and then. A spinning processor gives its
 * turn away with each PAUSE, so it costs nothing.
 */
const accelerators: Readonly<Record<Acceleration, string>> = { tcg: 'tcg,thread=single', kvm: 'kvm' };

function argumentsOf(machine: Machine): string[] {
  // `max` gives software emulation all it can do; under KVM only the host's own model is sure to run.
  const cpu = machine.acceleration === 'kvm' ? 'host' : 'max';
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-accel', accelerators[machine.acceleration], '-cpu', cpu],
    ...['-smp', String(machine.cpus), '-m', `${machine.memoryMiB}M`],
    ...['-kernel', machine.image, '-initrd', machine.initramfs, '-append', machine.commandLine],
    ...['-chardev', 'socket,id=console,fd=3', '-serial', 'chardev:console'],
    ...['-chardev', 'socket,id=channel,fd=4', '-serial', 'chardev:channel'],
    ...(machine.more ?? []),
  ];
}
