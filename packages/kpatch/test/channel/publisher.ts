/** A channel made by a test: the library's own functions, with the day that the test says it is. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { silentReporter } from '#kpatch/base/report.ts';
import { addPatches, putKernel } from '#kpatch/channel/repository/add.ts';
import { checkChannel } from '#kpatch/channel/repository/check.ts';
import {
  type ChannelConfig,
  channelSchema,
  layout,
  readConfig,
  writeConfig,
} from '#kpatch/channel/repository/config.ts';
import { exportKeys } from '#kpatch/channel/repository/gpg.ts';
import { kernelSchema } from '#kpatch/channel/repository/kernel.ts';
import { publish } from '#kpatch/channel/repository/publish.ts';
import { type ModuleFields, writeModule } from './module-file.ts';

export const running = '6.1.0-56-amd64';
export const newer = '6.1.0-57-amd64';
const day = 86_400_000;

export class Publisher {
  readonly folder: string;
  readonly work: string;
  now: Date;

  /** Two kernels of one line; the first was released 30 days before `now`, the second today. */
  static async make(
    work: string,
    key: string,
    fields: Partial<ChannelConfig> = {},
    now = new Date(Date.now() - 5000),
  ): Promise<Publisher> {
    const publisher = new Publisher(work, now);
    writeConfig(publisher.folder, {
      schema: channelSchema,
      name: 'test',
      description: 'A test’s channel',
      url: 'http://127.0.0.1:9/none',
      keys: [key],
      formerKeys: [],
      windowMonths: 6,
      validDays: 14,
      keep: 2,
      require: { proof: false, moduleSignature: false },
      ...fields,
    });
    await publisher.kernel(running, -30, '6.1.190-1');
    await publisher.kernel(newer, 0, '6.1.192-1');
    return publisher;
  }

  constructor(work: string, now: Date) {
    this.work = work;
    this.now = now;
    this.folder = join(work, 'channel');
    mkdirSync(this.folder, { recursive: true });
  }

  get config(): ChannelConfig {
    return readConfig(this.folder);
  }

  async kernel(release: string, releasedDaysFromNow: number, packageVersion: string): Promise<void> {
    const released = new Date(this.now.getTime() + releasedDaysFromNow * day).toISOString().slice(0, 10);
    const kernel = {
      schema: kernelSchema,
      release,
      arch: 'x86_64',
      distribution: 'Debian:12',
      packageVersion,
      released,
      extended: null,
      patches: [],
    } as const;
    await putKernel(this.folder, this.config, kernel, this.now);
  }

  add(fields: ModuleFields, options: { withdrawn?: { id: string; reason: string }[]; release?: number } = {}) {
    const file = writeModule(this.work, { release: running, ...fields });
    const { withdrawn = [], release = 1 } = options;
    return addPatches(this.folder, this.config, [file], { release, withdrawn, advisories: new Map(), now: this.now });
  }

  /** Changes what the channel asks for; key files are copied into its folder. */
  require(require: ChannelConfig['require'], ...files: readonly string[]): void {
    mkdirSync(layout(this.folder).keys, { recursive: true });
    for (const file of files) copyFileSync(file, join(layout(this.folder).keys, basename(file)));
    writeConfig(this.folder, { ...this.config, require });
  }

  /** Publishes; the clock goes on by a second, so that each publication is newer than the one before. */
  async publish() {
    this.now = new Date(this.now.getTime() + 1000);
    return publish(this.folder, this.config, this.now, silentReporter());
  }
}

/** What is wrong with the published channel. */
export async function problems(publisher: Publisher, now = new Date()): Promise<readonly string[]> {
  const { keys } = publisher.config;
  const { binary } = await exportKeys(keys);
  return (await checkChannel(publisher.folder, publisher.config, binary, now)).problems;
}
