/** A virtual machine that runs a given kernel: run scripts in it, bring files in and out, end it. boot.ts starts one. */
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { failure, type KpatchError } from '../base/errors/error.ts';
import { interrupted } from '../base/process/cleanup.ts';
import { AGENT_FOLDER } from './agent/agent.ts';
import { Channel, SCRIPT_LIMIT } from './agent/channel.ts';
import { type Console, readable } from './agent/console.ts';
import { type Exchange, readFile, writeFile } from './agent/transfer.ts';
import { stretched } from './deadline.ts';
import type { Acceleration, Qemu } from './qemu/qemu.ts';
import type { Qmp } from './qemu/qmp.ts';

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

/** The deadline of a script that names none, milliseconds. */
const SHORT_MS = 60_000;

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
        await Promise.race([qemu.ended, delay(PANIC_GRACE_MS, undefined, { ref: false })]);
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
    return this.#inTurn(() => this.#run(script, options));
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
      await writeFile(this.#shortly, `${AGENT_FOLDER}/long-script`, bytes);
      bytes = Buffer.from(`. ${AGENT_FOLDER}/long-script`);
    }
    const start = performance.now();
    const onOutput = options.onOutput;
    const { status, output } = await this.#exchange(bytes, {
      deadlineMs: options.deadlineMs ?? SHORT_MS,
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
    return this.#inTurn(() => writeFile(this.#shortly, path, bytes, mode));
  }

  /** One short script, without a turn. */
  readonly #shortly: Exchange = (script, step) => this.#exchange(Buffer.from(script), { deadlineMs: SHORT_MS, step });

  /** Does work after all that was given before it, whether that succeeded or not. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Reads a file of the guest, piece by piece (about 300 KB a second). Errors: as `run`, `guest-step-failed`. */
  get(path: string): Promise<Buffer> {
    return this.#inTurn(() => readFile(this.#shortly, path));
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

function nameOf(script: string, options: ScriptOptions): string {
  return options.step ?? script.trim().split('\n', 1)[0]!.slice(0, 80);
}
