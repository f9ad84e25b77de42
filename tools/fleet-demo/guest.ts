/** The real machine of the fleet demo: a guest with systemd that joins the server through TLS and follows a channel. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { Guest } from '#kpatch/vm/guest.ts';
import { makeDisk } from '#kpatch/vm/system.ts';
import { makeCertificate } from '../../packages/fleet/simulate/certificate.ts';
import type { Delivery } from '../../packages/fleet/test/guests/delivery.ts';
import { bootMachine, HERE } from '../../packages/fleet/test/guests/machine.ts';

const NAME = 'guest-1';
const MINUTE_MS = 60_000;

export class DemoGuest implements AsyncDisposable {
  readonly delivery: Delivery;
  readonly #disk: string;
  #guest: Guest;
  /** What it does now; one thing after the other. */
  #turn: Promise<void> = Promise.resolve();
  /** True once it has crashed and is up again. */
  isBack = false;
  /** True if something went wrong that is not part of the demo. */
  isBroken = false;

  private constructor(delivery: Delivery, disk: string, guest: Guest) {
    this.delivery = delivery;
    this.#disk = disk;
    this.#guest = guest;
  }

  /** Boots it and joins the server at `url`, which has no TLS: the agent demands it, so its connections end here. */
  static async join(folder: string, delivery: Delivery, url: string, token: string): Promise<DemoGuest> {
    const tls = makeCertificate(join(folder, 'guest-tls'), 2, `IP:${HERE}`);
    const port = Number(new URL(url).port);
    const front = createServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, (socket) => {
      const behind = connect(port, '127.0.0.1');
      socket.on('error', () => behind.destroy()).pipe(behind);
      behind.on('error', () => socket.destroy()).pipe(socket);
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    front.unref();
    const disk = join(folder, 'guest-disk');
    await makeDisk(disk, 512);
    const files = delivery.files(token, tls.authorities);
    const guest = await bootMachine({ name: NAME, kernel: delivery.kernel, disk, files });
    await guest.runOk(delivery.enrol((front.address() as AddressInfo).port), { deadlineMs: 10 * MINUTE_MS });
    return new DemoGuest(delivery, disk, guest);
  }

  /** It reports, and follows what it hears. If its kernel dies, it boots again and reports that. */
  report(): void {
    this.#turn = this.#turn
      .then(() => this.#report())
      .catch((error: unknown) => {
        this.isBroken = true;
        process.stderr.write(`guest-1: ${String(error)}\n`);
      });
  }

  async #report(): Promise<void> {
    const script =
      'systemctl start kpatch-report.service; while systemctl list-jobs | grep -q kpatch-; do sleep 0.5; done; sleep 1; while systemctl list-jobs | grep -q kpatch-; do sleep 0.5; done';
    try {
      await this.#guest.run(script, { deadlineMs: 5 * MINUTE_MS });
    } catch (error) {
      if (this.#guest.panic === undefined) throw error;
      await this.#guest.stop();
      this.#guest = await bootMachine({ name: NAME, kernel: this.delivery.kernel, disk: this.#disk, files: {} });
      this.isBack = true;
      await this.#report();
    }
  }

  /** What a person sees there, once it has done everything. */
  async shows(): Promise<string> {
    await this.#turn;
    return (await this.#guest.run('cat /proc/loadavg; kpatch status', { deadlineMs: 3 * MINUTE_MS })).output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest.stop();
    await this.delivery[Symbol.asyncDispose]();
  }
}
