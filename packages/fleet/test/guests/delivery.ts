/** Two live patches for a stock kernel, a good one and one that crashes the machine, and a channel that delivers them to guests. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from 'kpatch/parts';
import { type Server, serve } from '../../../kpatch/test/channel/server.ts';
import { TufChannel } from '../../../kpatch/test/channel/tuf-channel.ts';
import { buildModules, cumulative } from '../../../kpatch/test/vm/host-modules.ts';
import { type StockKernel, stockKernel } from '../../../kpatch/test/vm/stock-kernel.ts';
import { HERE } from './machine.ts';

const patches = [
  { ...cumulative('fleet_one', 1), manifest: { version: 1, cves: ['CVE-1900-0001'] } },
  {
    ...cumulative('fleet_two', 2),
    manifest: { version: 2, cves: ['CVE-1900-0001', 'CVE-1900-0002'] },
    whenActive: 'panic("fleet_two: a bad patch");',
  },
];

export class Delivery implements AsyncDisposable {
  readonly kernel: StockKernel;
  readonly #folder: string;
  readonly #channel: TufChannel;
  readonly #web: Server;

  private constructor(kernel: StockKernel, folder: string, channel: TufChannel, web: Server) {
    this.kernel = kernel;
    this.#folder = folder;
    this.#channel = channel;
    this.#web = web;
  }

  /** Builds both patches into a folder and publishes the first. */
  static async make(folder: string): Promise<Delivery> {
    const kernel = await stockKernel();
    for (const [name, bytes] of await buildModules(kernel, patches)) writeFileSync(join(folder, `${name}.ko`), bytes);
    const channel = await TufChannel.make(folder);
    channel.kernels.clear();
    channel.addFile(join(folder, 'fleet_one.ko'));
    return new Delivery(kernel, folder, channel, await serve(await channel.publish()));
  }

  /** The file of a patch. */
  file(name: string): string {
    return join(this.#folder, `${name}.ko`);
  }

  digest(name: string): string {
    return sha256(readFileSync(this.file(name)));
  }

  /** Publishes the second patch as well. */
  async publishNext(): Promise<void> {
    this.#channel.addFile(this.file('fleet_two'));
    this.#web.folder = await this.#channel.publish();
  }

  /** How often a patch was fetched. */
  fetched(name: string): number {
    return this.#web.asked.filter((path) => path.includes(this.digest(name)) && path.endsWith('.ko')).length;
  }

  /** Files that a guest needs to join a server and to follow the channel. */
  files(token: string, authorities: string): Readonly<Record<string, string | Buffer>> {
    const rootFile = readFileSync(this.#channel.rootFile);
    return { '/root/token': token, '/root/ca.pem': authorities, '/root/root.json': rootFile };
  }

  /** Script: joins the server on this port of this machine, and follows the channel. */
  enrol(port: number): string {
    return `kpatch fleet join https://${HERE}:${port} --token-file /root/token --ca /root/ca.pem && rm /root/token &&
kpatch channel follow http://${HERE}:${new URL(this.#web.url).port} --key /root/root.json && kpatch auto && kpatch list`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#web[Symbol.asyncDispose]();
  }
}
