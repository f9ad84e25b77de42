/**
 * One QEMU process. It never outlives this process: the kernel sends it SIGKILL when its parent dies (setpriv sets
 * PR_SET_PDEATHSIG, prctl(2)), however that happens; and on a normal end or Ctrl-C it is killed here.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { failure } from '../../base/errors/error.ts';
import { onExit } from '../../base/process/cleanup.ts';
import { killGroup, run } from '../../base/run.ts';
import type { Emulator } from '../../platform/common/emulator.ts';
import { requireSandbox } from '../../sandbox/sandbox.ts';
import { enclosed, isEnclosed, pidInside, readableMachine, seccomp } from './enclosure.ts';
import { Qmp } from './qmp.ts';

export type Acceleration = 'tcg' | 'kvm';

export interface Machine {
  readonly emulator: Emulator;
  readonly image: string;
  readonly initramfs: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly acceleration: Acceleration;
  /** The kernel's command line. */
  readonly commandLine: string;
  /** Further arguments of QEMU: devices, drives. */
  readonly more?: readonly string[];
  /** An open file, at the place where the state of a saved guest begins: the guest goes on from there instead of booting. */
  readonly resumeFrom?: number;
}

export interface Qemu {
  readonly pid: number;
  /** The guest's first serial port. */
  readonly console: Duplex;
  /** The guest's second serial port. */
  readonly channel: Duplex;
  readonly monitor: Qmp;
  /** Resolves once the process is gone, with how it ended in words; never rejects. */
  readonly ended: Promise<string>;
  /** What QEMU itself has said so far (bounded). */
  messages(): string;
  kill(): void;
}

const builds = new Map<string, Promise<string>>();

/** The first line of `qemu --version`, with the distribution's package version; asked once. Error: `tool-missing`. */
export function qemuBuild(emulator: Emulator): Promise<string> {
  const known = builds.get(emulator.program) ?? askBuild(emulator);
  builds.set(emulator.program, known);
  // It may be installed meanwhile.
  known.catch(() => builds.delete(emulator.program));
  return known;
}

async function askBuild({ program, package: name }: Emulator): Promise<string> {
  const { stdout } = await run(program, ['--version'], { timeoutMs: 120_000, packageName: name });
  return stdout.toString().split('\n')[0] ?? '';
}

/** The version of QEMU, as `7.2.22`. Error: `tool-missing`. */
export async function qemuVersion(emulator: Emulator): Promise<string> {
  return /version (\d[\w.]*)/.exec(await qemuBuild(emulator))?.[1] ?? 'unknown';
}

/** Starts QEMU in its sandbox. Errors: `tool-missing`, `sandbox-unavailable`. */
export async function startQemu(wanted: Machine): Promise<Qemu> {
  await qemuVersion(wanted.emulator);
  const isInside = isEnclosed(wanted);
  if (isInside) await requireSandbox();
  const machine = isInside ? readableMachine(wanted) : wanted;
  const plain = { program: machine.emulator.program, args: argumentsOf(machine), options: { env: process.env } };
  const { program, args, options } = isInside ? enclosed(machine, plain.args, INFORMANT) : plain;
  // The shell closes the gap between the fork and the prctl: if the parent is gone by then, nothing is started.
  const guard = ['--pdeathsig', 'KILL', 'sh', '-c', '[ "$PPID" = "$0" ] && exec "$@"', String(process.pid)];
  const child = spawn('setpriv', [...guard, program, ...args], {
    env: options.env,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe', machine.resumeFrom ?? 'ignore', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(failure('tool-missing', { tool: 'setpriv', package: 'util-linux' }, { cause })),
    );
  });
  const informant = (child.stdio as unknown as Readable[])[INFORMANT]!;
  const qemu = handleOf(child, child.pid!);
  return isInside ? { ...qemu, pid: (await pidInside(informant)) ?? qemu.pid } : qemu;
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
  const [, , , console, channel, monitor] = child.stdio as unknown as Duplex[];
  for (const stream of [console!, channel!, monitor!]) stream.on('error', () => {}); // its end is seen by `ended`
  return {
    pid,
    console: console!,
    channel: channel!,
    monitor: new Qmp(monitor!),
    ended,
    messages: () => messages,
    kill,
  };
}

/** The numbers under which QEMU inherits its ends of the streams (`stdio` above). */
const CONSOLE = 3;
const CHANNEL = 4;
const MONITOR = 5;
const STATE = 6;
/** Of bubblewrap, not of QEMU. */
const INFORMANT = 7;

/** QEMU's arguments for this machine: those of a resumed guest and of the one that was saved differ in `-incoming` only. */
export function argumentsOf(machine: Machine): string[] {
  const { emulator, acceleration } = machine;
  const { accel, cpu } = emulator[acceleration];
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...(machine.more?.includes('-virtfs') === true ? [] : seccomp),
    ...emulator.arguments,
    ...['-accel', accel, '-cpu', cpu],
    ...['-smp', String(machine.cpus), '-m', `${machine.memoryMiB}M`],
    ...['-kernel', machine.image, '-initrd', machine.initramfs, '-append', machine.commandLine],
    ...['-chardev', `socket,id=console,fd=${CONSOLE}`, ...emulator.serial('console')],
    ...['-chardev', `socket,id=channel,fd=${CHANNEL}`, ...emulator.serial('channel')],
    ...['-chardev', `socket,id=monitor,fd=${MONITOR}`, '-mon', 'chardev=monitor,mode=control'],
    ...(machine.more ?? []),
    ...(machine.resumeFrom === undefined ? [] : ['-incoming', `fd:${STATE}`]),
  ];
}
