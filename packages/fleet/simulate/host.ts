/** A simulated machine: a real key, a real chain of signed reports, and a state that a scenario changes. */
import { createHash } from 'node:crypto';
import { type FleetReport, type HostKey, hostKeyOf, joinText, newHostKey, sealReport } from 'kpatch/fleet';

export interface SimulatedPatch {
  readonly name: string;
  readonly sha256: string;
  readonly version: number;
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Names as a stock kernel of a server has them: the list is about as long. */
const moduleNames = Array.from({ length: 96 }, (_, at) => `module_${at}`).sort();
const moduleDigest = hash(moduleNames.join('\n'));

export class SimulatedHost {
  readonly key: HostKey;
  readonly name: string;
  machine: string;
  kernel: string;
  patch: SimulatedPatch | undefined;
  boot = 1;
  incidents: FleetReport['incidents'] = [];
  counter = 0;
  link = '';
  modules = '';

  constructor(name: string, kernel: string, pem = newHostKey()) {
    this.key = hostKeyOf(pem);
    this.name = name;
    this.kernel = kernel;
    this.machine = hash(name);
  }

  /** The text of its request to join. */
  joinRequest(token: string): string {
    return JSON.stringify({
      schema: 'kpatch.fleet-join-request/1',
      token,
      key: this.key.public.toString('base64'),
      machine: this.machine,
      name: this.name,
      signature: this.key.sign(joinText(token)).toString('base64'),
    });
  }

  /** A copy that goes on from the same state with the same key. */
  copy(): SimulatedHost {
    const copy = Object.assign(Object.create(SimulatedHost.prototype) as SimulatedHost, this);
    copy.incidents = [...this.incidents];
    return copy;
  }

  /** The next report. */
  report(at = new Date(), changes: Partial<FleetReport> = {}): FleetReport {
    const previous = this.link;
    this.counter++;
    this.link = hash(`${this.key.id} ${this.counter} ${at.getTime()} ${Math.random()}`).slice(0, 32);
    const { patch, kernel, modules } = this;
    return {
      schema: 'kpatch.fleet-report/1',
      host: this.key.id,
      counter: this.counter,
      link: this.link,
      previous,
      at: at.toISOString(),
      machine: this.machine,
      name: this.name,
      boot: { id: `boot-${this.boot}`, seconds: 300 * this.counter },
      version: '0.1.0',
      kernel: { release: kernel, arch: 'x86_64', package: '6.1.170-3', livepatch: true },
      patches: patch === undefined ? [] : [{ ...patch, state: 'enabled', seconds: 1.5, functions: 12 }],
      installed: patch === undefined ? [] : [{ name: patch.name, sha256: patch.sha256 }],
      modules: modules === moduleDigest ? { digest: moduleDigest } : { digest: moduleDigest, names: moduleNames },
      incidents: this.incidents,
      policy: 'none',
      channel: { url: 'https://patches.example.org/live' },
      reboot: false,
      todo: 0,
      ...changes,
    };
  }

  /** The next report, signed, as it is sent. */
  sealed(at = new Date(), changes: Partial<FleetReport> = {}): string {
    return sealReport(this.report(at, changes), this.key);
  }

  /** What it learns from an answer. */
  heard(answer: { readonly counter: number; readonly modules: string }): void {
    this.counter = Math.max(this.counter, answer.counter);
    this.modules = answer.modules;
  }
}
