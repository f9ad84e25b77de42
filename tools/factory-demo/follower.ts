/** The machine of the factory's demo: a guest with systemd that follows the channel. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '#kpatch/base/run.ts';
import type { Guest } from '#kpatch/vm/guest.ts';
import { bootSystem, makeDisk } from '#kpatch/vm/system.ts';
import { guestOptions, type Kernel, network } from '../channel-demo/machine.ts';
import type { Story } from '../channel-demo/story.ts';

const root = join(import.meta.dirname, '../..');

export interface Published {
  readonly version: number;
  readonly cves: readonly string[];
}

export class Follower implements AsyncDisposable {
  readonly #guest: Guest;
  readonly #story: Story;

  private constructor(guest: Guest, story: Story) {
    this.#guest = guest;
    this.#story = story;
  }

  /** Makes kpatch's package and boots the machine with it and with the key of the channel. */
  static async boot(story: Story, kernel: Kernel, work: string, channel: string): Promise<Follower> {
    story.say(`\n== a machine that runs ${kernel.release}`);
    const onLine = (line: string): void => story.say(`    ${line}`);
    await runOk(process.execPath, [join(root, 'tools/packages.ts')], { timeoutMs: 1_800_000, onLine });
    const deb = readdirSync(join(root, 'dist')).find((file) => /kpatch_.*_amd64\.deb$/.test(file))!;
    const disk = join(work, 'disk');
    await makeDisk(disk, 4096);
    const files = {
      '/root/key.asc': readFileSync(join(channel, 'public/key.asc')),
      '/root/kpatch.deb': readFileSync(join(root, 'dist', deb)),
    };
    return new Follower(await bootSystem({ ...guestOptions(kernel, disk), files }), story);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest.stop();
  }

  /** Installs kpatch, follows the channel and loads what is published. */
  async follows(url: string, { version, cves }: Published): Promise<void> {
    const { step } = this.#story;
    const guest = this.#guest;
    // What this machine has beside belongs to the guest too: the sources of its packages, which it cannot reach.
    const install =
      'rm -f /var/lib/man-db/auto-update /etc/apt/sources.list /etc/apt/sources.list.d/*; dpkg -i /root/kpatch.deb && kpatch --version';
    await step(guest, 'kpatch is installed from its package', install, /^kpatch \d/m, 20);
    await step(guest, 'its network reaches the channel and nothing else', network, /^network is up$/m);
    const follow = `kpatch channel follow ${url} --key /root/key.asc --packages`;
    await step(guest, 'it follows the channel', follow, /^following/m);
    await step(
      guest,
      'the live patch is loaded',
      'kpatch auto; kpatch list; kpatch status',
      [new RegExp(`_${version}_1 \\[enabled\\]`), ...cves.map((cve) => new RegExp(cve))],
      20,
    );
  }

  /** Updates; then this version alone is loaded, fixes its CVEs, and not `gone`. */
  async has(what: string, { version, cves }: Published, gone?: string): Promise<void> {
    const one = `test "$(ls /sys/kernel/livepatch | wc -l)" = 1 && echo one live patch`;
    const absent = gone === undefined ? '' : `kpatch status | grep -q '${gone}' || echo ${gone} is not in it;`;
    await this.#story.step(
      this.#guest,
      what,
      `kpatch update; kpatch list; kpatch status; ${absent} ${one}`,
      [
        new RegExp(`_${version}_1 \\[enabled\\]`),
        /^one live patch$/m,
        ...cves.map((cve) => new RegExp(cve)),
        ...(gone === undefined ? [] : [new RegExp(`^${gone} is not in it$`, 'm')]),
      ],
      20,
    );
  }

  async isIntact(): Promise<void> {
    const script = 'dmesg | grep -E "WARNING|BUG:|Oops|Unpatched|Call Trace" || echo clean';
    await this.#story.step(this.#guest, 'the kernel log has no complaint', script, /^clean$/m);
  }
}
