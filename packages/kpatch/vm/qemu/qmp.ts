/** QEMU's monitor protocol (docs/interop/qmp-spec.rst of QEMU): one JSON object a line, commands answered in order, events in between. */
import type { Duplex } from 'node:stream';
import { failure } from '../../base/errors/error.ts';

interface Message {
  readonly QMP?: object;
  readonly return?: unknown;
  readonly error?: { readonly desc?: string };
  readonly event?: string;
}

/** A line of QEMU's monitor is never longer than this; anything longer is not QMP. */
const LINE_LIMIT = 1 << 20;

export class Qmp {
  readonly #stream: Duplex;
  readonly #answers: ((message: Message) => void)[] = [];
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #seen = new Set<string>();
  #rest = '';
  /** Resolves when commands are accepted. */
  readonly ready: Promise<void>;

  constructor(stream: Duplex) {
    this.#stream = stream;
    let greeted = (): void => {};
    const greeting = new Promise<void>((resolve) => {
      greeted = resolve;
    });
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop()!.slice(-LINE_LIMIT);
      for (const line of lines) this.#receive(line, greeted);
    });
    this.ready = greeting.then(() => this.run('qmp_capabilities')).then(() => {});
    this.ready.catch(() => {});
  }

  /** Runs a command and gives what it returns; never resolves when QEMU is gone. Error: `guest-monitor`. */
  async run(execute: string, args: object = {}): Promise<unknown> {
    const answer = await new Promise<Message>((resolve) => {
      this.#answers.push(resolve);
      this.#stream.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
    if (answer.error === undefined) return answer.return;
    throw failure('guest-monitor', { command: execute, problem: answer.error.desc ?? 'no reason given' });
  }

  /** Resolves when the guest's processors run. */
  async running(): Promise<void> {
    await this.ready;
    const { running } = (await this.run('query-status')) as { running: boolean };
    if (!running) await this.event('RESUME');
  }

  /** Resolves at the first event of this name, also when it has been seen already. */
  event(name: string): Promise<void> {
    if (this.#seen.has(name)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), resolve]);
    });
  }

  #receive(line: string, greeted: () => void): void {
    let message: Message;
    try {
      message = JSON.parse(line) as Message;
    } catch {
      return;
    }
    if (message.QMP !== undefined) {
      greeted();
      return;
    }
    if (message.event !== undefined) {
      this.#seen.add(message.event);
      for (const resolve of this.#waiting.get(message.event) ?? []) resolve();
      this.#waiting.delete(message.event);
      return;
    }
    this.#answers.shift()?.(message);
  }
}
