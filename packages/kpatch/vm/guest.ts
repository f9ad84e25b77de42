/** A virtual machine that runs a given kernel: boot it, run scripts in it, bring files in and out, end it. */
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { interrupted } from '../base/cleanup.ts';
import { failure, type KpatchError } from '../base/errors/error.ts';
import { temporaryFolder, writeError } from '../base/files.ts';
import type { Emulator } from '../platform/emulator.ts';
import { giveFolder, shareFolder } from '../sandbox/user.ts';
import { type Accelerations, chooseAcceleration } from './acceleration.ts';
import { AGENT_FOLDER, initScript } from './agent.ts';
import { type Place, takePlace } from './budget.ts';
import { Channel, OUTPUT_LIMIT, SCRIPT_LIMIT } from './channel.ts';
import { Console, readable } from './console.ts';
import { emulatorFor, machineFor } from './emulator.ts';
import { type GuestFiles, initramfs } from './initramfs.ts';
import { type GuestModules, moduleFiles } from './modules.ts';
import { type Acceleration, type Machine, type Qemu, startQemu } from './qemu.ts';
import type { Qmp } from './qmp.ts';

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

export interface ScriptOptions {
  /** Milliseconds (default: 60,000). A guest that takes longer is ended, the error is `guest-hung`. */
  readonly deadlineMs?: number;
  /** What the error calls this step (default: the script's first line). */
  readonly step?: string;
  /** Called with the output as it comes. */
  readonly onOutput?: (text: string) => void;
}

export interface ScriptResult {
  readonly status: number;
  /** Standard output and error together, made readable; of very long ones the start and the end. */
  readonly output: string;
  readonly ms: number;
}

/** QEMU exits by itself when the kernel has printed the end of its panic; this long it is waited for. */
const PANIC_GRACE_MS = 3000;

export class Guest {
  readonly acceleration: Acceleration;
  /** Milliseconds from the start of QEMU until the agent took commands. */
  bootMs = 0;
  /** SHA-256 of the file that a resumed guest came from; absent if it was booted. */
  keptFrom?: string;
  readonly #qemu: Qemu;
  readonly #console: Console;
  readonly #channel: Channel;
  readonly #dispose: () => void;
  /** Resolves with the error that ended the guest; only a guest that is stopped ends without one. */
  readonly #failure: Promise<KpatchError>;
  #stopping = false;
  #turn: Promise<unknown> = Promise.resolve();
  /** Resolves when the guest is gone, however it went. */
  readonly ended: Promise<void>;

  /** Use `boot`. */
  constructor(parts: {
    qemu: Qemu;
    console: Console;
    acceleration: Acceleration;
    dispose: () => void;
    /** True for a resumed guest: its agent has greeted before it was saved. */
    listening?: boolean;
  }) {
    const { qemu, console, listening = false } = parts;
    this.#qemu = qemu;
    this.#console = console;
    this.acceleration = parts.acceleration;
    this.#dispose = parts.dispose;
    let panicked: () => void = () => {};
    const panic = new Promise<void>((resolve) => {
      panicked = resolve;
    });
    qemu.console.on('data', (chunk: Buffer) => {
      console.add(chunk);
      if (console.panic !== undefined) panicked();
    });
    this.#channel = new Channel(qemu.channel, listening);
    this.ended = qemu.ended.then(() => this.#dispose());
    this.#failure = Promise.race([
      qemu.ended.then((outcome) => this.#error(outcome)),
      panic.then(async () => {
        await Promise.race([qemu.ended, pause(PANIC_GRACE_MS)]);
        this.kill();
        return this.#error('');
      }),
    ]);
  }

  /** Everything the guest printed on its console that is kept, made readable. */
  get console(): string {
    return this.#console.text;
  }

  /** The kernel's words if it has panicked. */
  get panic(): string | undefined {
    return this.#console.panic;
  }

  /** The guest's end of the first serial port: what is written there, a program in the guest that reads the console gets. */
  get terminal(): Duplex {
    return this.#qemu.console;
  }

  get pid(): number {
    return this.#qemu.pid;
  }

  /** QEMU's monitor. */
  get monitor(): Qmp {
    return this.#qemu.monitor;
  }

  /** Waits for work outside the guest that takes at most `deadlineMs`. Errors: as `run`; `step` names it. */
  whileAlive<T>(work: Promise<T>, step: string, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    const limitMs = stretched(deadlineMs);
    const late = (): KpatchError =>
      failure('guest-hung', { step, seconds: limitMs / 1000 }, { detail: this.#qemu.messages() });
    return this.#within(work, limitMs, signal, late);
  }

  /** Waits for the agent's greeting; `boot` calls it. */
  async greet(deadlineMs: number, image: string, signal?: AbortSignal): Promise<void> {
    const start = performance.now();
    const limitMs = stretched(deadlineMs);
    await this.#within(this.#channel.ready, limitMs, signal, () => {
      const seconds = limitMs / 1000;
      if (this.#console.empty) return failure('guest-silent', { seconds, image }, { detail: this.#qemu.messages() });
      return failure('guest-not-booted', { seconds }, { detail: this.#console.tail(60) });
    });
    this.bootMs = performance.now() - start;
  }

  /**
   * Runs a shell script in the guest, after those that were given before it. Whatever its status, it is returned.
   * Standard input is empty. What it leaves running in the background must not write to its output.
   * Errors (the guest is gone then): `guest-panicked`, `guest-ended`, `guest-hung`, `interrupted`.
   */
  run(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    const result = this.#turn.then(() => this.#run(script, options));
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Like `run`; any status but 0 is the error `guest-step-failed`. */
  async runOk(script: string, options: ScriptOptions = {}): Promise<ScriptResult> {
    const result = await this.run(script, options);
    if (result.status === 0) return result;
    const step = nameOf(script, options);
    throw failure('guest-step-failed', { step, status: result.status }, { detail: result.output.slice(-8000) });
  }

  async #run(script: string, options: ScriptOptions): Promise<ScriptResult> {
    let bytes: Buffer = Buffer.from(script);
    if (bytes.length > SCRIPT_LIMIT) {
      await this.#put(`${AGENT_FOLDER}/long-script`, bytes);
      bytes = Buffer.from(`. ${AGENT_FOLDER}/long-script`);
    }
    const start = performance.now();
    const onOutput = options.onOutput;
    const { status, output } = await this.#exchange(bytes, {
      deadlineMs: options.deadlineMs ?? 60_000,
      step: nameOf(script, options),
      ...(onOutput === undefined ? {} : { onOutput: (chunk: Buffer) => onOutput(readable(chunk)) }),
    });
    return { status, output: readable(output), ms: performance.now() - start };
  }

  async #exchange(
    script: Buffer,
    options: { deadlineMs: number; step: string; onOutput?: (chunk: Buffer) => void },
  ): Promise<{ status: number; output: Buffer }> {
    const { step } = options;
    const limitMs = stretched(options.deadlineMs);
    return this.#within(this.#channel.run(script, options.onOutput), limitMs, undefined, () =>
      failure('guest-hung', { step, seconds: limitMs / 1000 }, { detail: this.#console.tail(60) }),
    );
  }

  /** Writes a file in the guest, with its folders. Errors: as `run`, `guest-step-failed`. */
  put(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const bytes = Buffer.from(content as Uint8Array);
    const result = this.#turn.then(() => this.#put(path, bytes, mode));
    this.#turn = result.catch(() => {});
    return result;
  }

  async #put(path: string, bytes: Buffer, mode = 0o644): Promise<void> {
    const name = quote(path);
    const step = `write ${path}`;
    const send = async (script: string): Promise<void> => {
      const { status, output } = await this.#exchange(Buffer.from(script), { deadlineMs: 60_000, step });
      if (status !== 0) throw failure('guest-step-failed', { step, status }, { detail: readable(output) });
    };
    await send(`mkdir -p "$(dirname ${name})" && : >${name} && chmod ${mode.toString(8)} ${name}`);
    const piece = Math.floor((SCRIPT_LIMIT - 1000) / 4) * 3;
    for (let at = 0; at < bytes.length; at += piece) {
      const text = bytes
        .subarray(at, at + piece)
        .toString('base64')
        .replace(/.{1,76}/g, '$&\n');
      await send(`base64 -d >>${name} <<'EOF'\n${text}EOF\n`);
    }
  }

  /** Reads a file of the guest, piece by piece (about 300 KB a second). Errors: as `run`, `guest-step-failed`. */
  get(path: string): Promise<Buffer> {
    const step = `read ${path}`;
    const piece = OUTPUT_LIMIT / 4;
    const read = async (at: number): Promise<Buffer> => {
      // A pipe's status is that of its last command, so that the file can be read is asked first.
      const script = `head -c 0 ${quote(path)} || exit 1; tail -c +${at + 1} ${quote(path)} | head -c ${piece} | base64`;
      const { status, output } = await this.#exchange(Buffer.from(script), { deadlineMs: 60_000, step });
      if (status !== 0) throw failure('guest-step-failed', { step, status }, { detail: readable(output) });
      return Buffer.from(output.toString('latin1'), 'base64');
    };
    const result = this.#turn.then(async () => {
      const pieces: Buffer[] = [];
      do pieces.push(await read(pieces.length * piece));
      while (pieces.at(-1)!.length === piece);
      return Buffer.concat(pieces);
    });
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Ends the guest at once, as if its power were cut, and waits until it is gone. */
  async stop(): Promise<void> {
    this.kill();
    await this.ended;
  }

  /** Cuts the power; `ended` tells when it is gone. */
  kill(): void {
    this.#stopping = true;
    this.#qemu.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #within<T>(
    work: Promise<T>,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    late: () => KpatchError,
  ): Promise<T> {
    const stop = signal === undefined ? interrupted : AbortSignal.any([signal, interrupted]);
    let timer: NodeJS.Timeout | undefined;
    let onAbort = (): void => {};
    const limit = new Promise<KpatchError>((resolve) => {
      timer = setTimeout(() => resolve(late()), deadlineMs);
      onAbort = () => resolve(failure('interrupted', { signal: String(stop.reason) }));
      if (stop.aborted) onAbort();
      stop.addEventListener('abort', onAbort, { once: true });
    });
    try {
      const wrap = work.then((value) => ({ value }));
      const first = await Promise.race([wrap, this.#failure, limit]);
      if ('value' in first) return first.value;
      await this.stop();
      throw first;
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', onAbort);
    }
  }

  #error(outcome: string): KpatchError {
    const said = [this.#console.tail(60), this.#qemu.messages()].filter((text) => text !== '').join('\n');
    const { panic } = this.#console;
    if (panic !== undefined) return failure('guest-panicked', { reason: panic }, { detail: said });
    return failure('guest-ended', { outcome: this.#stopping ? 'kpatch stopped it' : outcome }, { detail: said });
  }
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
  readonly place: Place;
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
  place: Place,
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

/**
 * How much slower than alone a guest may be now: processes that wait for each processor of this machine, from 1 to 6. All
 * deadlines are stretched by it, so that what is slow is not taken for what hangs.
 */
export function busyness(): number {
  return Math.min(6, Math.max(1, (loadavg()[0] ?? 0) / availableParallelism()));
}

/** Whole seconds where it is stretched. */
function stretched(deadlineMs: number): number {
  const factor = busyness();
  return factor === 1 ? deadlineMs : Math.ceil((deadlineMs * factor) / 1000) * 1000;
}

function write(path: string, content: Uint8Array): void {
  try {
    writeFileSync(path, content);
  } catch (error) {
    throw writeError(path, error);
  }
}

function quote(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

function nameOf(script: string, options: ScriptOptions): string {
  return options.step ?? script.trim().split('\n', 1)[0]!.slice(0, 80);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
