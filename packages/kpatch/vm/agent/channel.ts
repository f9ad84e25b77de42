/** The host's end of the agent's serial port: one script at a time, its output as it comes, its exit status. */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { READY } from './agent.ts';
import { BoundedBytes } from './console.ts';

export interface Answer {
  readonly status: number;
  readonly output: Buffer;
}

/** At most this much of one script's output is kept: its start and its end. */
export const OUTPUT_LIMIT = 256 * 1024;

/**
 * The longest script that is sent in one piece. The guest's serial driver buffers 64 KiB and drops what comes beyond
 * (drivers/tty/tty_buffer.c), and its shell may not be reading yet.
 */
export const SCRIPT_LIMIT = 24 * 1024;

interface Request {
  readonly end: Buffer;
  readonly output: BoundedBytes;
  readonly onOutput: ((chunk: Buffer) => void) | undefined;
  readonly resolve: (answer: Answer) => void;
}

export class Channel {
  readonly #stream: Duplex;
  #request: Request | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #setReady: () => void = () => {};
  /** Resolves when the agent listens. */
  readonly ready: Promise<void>;

  /** `listening`: the agent has greeted already (a resumed guest). */
  constructor(stream: Duplex, listening = false) {
    this.#stream = stream;
    if (listening) {
      this.ready = Promise.resolve();
      stream.on('data', (chunk: Buffer) => this.#receive(chunk));
      return;
    }
    this.ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
    let greeting = '';
    const greet = (chunk: Buffer): void => {
      greeting = (greeting + chunk.toString('latin1')).slice(-1000);
      if (!greeting.includes(`\n${READY}\n`)) return;
      stream.off('data', greet).on('data', (next: Buffer) => this.#receive(next));
      this.#setReady();
    };
    stream.on('data', greet);
  }

  /** Sends a script of at most SCRIPT_LIMIT bytes; the one before must have ended. Resolves when it ends, maybe never. */
  run(script: Buffer, onOutput?: (chunk: Buffer) => void): Promise<Answer> {
    const mark = `end-${randomBytes(8).toString('hex')}`;
    this.#rest = Buffer.alloc(0);
    return new Promise((resolve) => {
      this.#request = { end: Buffer.from(`\n${mark} `), output: new BoundedBytes(OUTPUT_LIMIT), onOutput, resolve };
      this.#stream.write(Buffer.concat([Buffer.from(`run ${mark} ${script.length}\n`), script]));
    });
  }

  #receive(chunk: Buffer): void {
    const request = this.#request;
    if (request === undefined) return; // something left running in the guest prints after its script has ended
    const bytes = Buffer.concat([this.#rest, chunk]);
    const at = bytes.indexOf(request.end);
    if (at >= 0) {
      const newline = bytes.indexOf(10, at + request.end.length);
      if (newline < 0) {
        this.#hold(request, bytes, at);
        return;
      }
      this.#pass(request, bytes.subarray(0, at));
      this.#request = undefined;
      const status = Number.parseInt(bytes.subarray(at + request.end.length, newline).toString('latin1'), 10);
      request.resolve({ status: Number.isNaN(status) ? 255 : status, output: request.output.bytes() });
      return;
    }
    // The last bytes may be the beginning of the mark.
    let held = Math.min(bytes.length, request.end.length - 1);
    while (!bytes.subarray(bytes.length - held).equals(request.end.subarray(0, held))) held--;
    this.#hold(request, bytes, bytes.length - held);
  }

  #hold(request: Request, bytes: Buffer, from: number): void {
    this.#pass(request, bytes.subarray(0, from));
    this.#rest = Buffer.from(bytes.subarray(from));
  }

  #pass(request: Request, bytes: Buffer): void {
    if (bytes.length === 0) return;
    request.output.add(bytes);
    request.onOutput?.(bytes);
  }
}
