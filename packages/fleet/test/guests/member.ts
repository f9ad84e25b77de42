/** A real machine of a fleet: it joins, reports when it is told to, and boots again when its kernel dies. */
import { join } from 'node:path';
import type { Guest } from '../../../kpatch/vm/guest.ts';
import { makeDisk } from '../../../kpatch/vm/system.ts';
import type { Delivery } from './delivery.ts';
import { bootMachine } from './machine.ts';

const MINUTE_MS = 60_000;

/** One report by the units, and what follows from its answer: the services start each other. */
const report = `idle() { while systemctl list-jobs | grep -q kpatch-; do sleep 0.5; done; }
systemctl start kpatch-report.service; idle; sleep 1; idle`;

export interface MemberOptions {
  readonly name: string;
  /** Where its disk is kept. */
  readonly folder: string;
  readonly delivery: Delivery;
  /** Where the server listens on this machine, and who vouches for it (PEM). */
  readonly port: number;
  readonly authorities: string;
  /** The secret with which it joins. */
  readonly token: string;
}

export class Member implements AsyncDisposable {
  readonly name: string;
  readonly #delivery: Delivery;
  readonly #disk: string;
  #guest: Guest;
  /** What it does now; one thing after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** How often its kernel died. It is up again. */
  crashes = 0;

  private constructor(name: string, delivery: Delivery, disk: string, guest: Guest) {
    this.name = name;
    this.#delivery = delivery;
    this.#disk = disk;
    this.#guest = guest;
  }

  /** Boots it for the first time, joins the server and follows the channel. */
  static async join({ name, folder, delivery, port, authorities, token }: MemberOptions): Promise<Member> {
    const disk = join(folder, `${name}-disk`);
    await makeDisk(disk, 512);
    const guest = await bootMachine({
      name,
      kernel: delivery.kernel,
      disk,
      files: delivery.files(token, authorities),
    });
    await guest.runOk(delivery.enrol(port), { deadlineMs: 10 * MINUTE_MS });
    // It updates when the server chose something, not when it is six o'clock.
    await guest.runOk('systemctl disable --now kpatch-update.timer');
    return new Member(name, delivery, disk, guest);
  }

  /** It reports, and does what it hears. If its kernel dies of that, it boots again and reports how it came to that. */
  report(): Promise<void> {
    return this.#inTurn(() => this.#report());
  }

  async #report(): Promise<void> {
    try {
      await this.#guest.run(report, { deadlineMs: 5 * MINUTE_MS, step: `a report of ${this.name}` });
    } catch (error) {
      if (this.#guest.panic === undefined) throw error;
      await this.#guest.stop();
      this.#guest = await bootMachine({ name: this.name, kernel: this.#delivery.kernel, disk: this.#disk, files: {} });
      this.crashes++;
      await this.#report();
    }
  }

  /** What a script prints there, once it has done everything before; any status but 0 is an error. */
  run(script: string): Promise<string> {
    return this.#inTurn(async () => (await this.#guest.runOk(script, { deadlineMs: 3 * MINUTE_MS })).output);
  }

  /** The first line names the patch that runs, if one of `Delivery` does; the rest is what a person sees. */
  shows(): Promise<string> {
    return this.run('cat /proc/loadavg; kpatch status || true');
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest.stop();
  }
}
