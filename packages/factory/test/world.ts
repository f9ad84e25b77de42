/** A small world for tests of the factory: a repository, records, and tools that stand in for building and proving. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, proofPath } from 'kpatch/parts';
import { readConfig } from '#factory/config.ts';
import { Queue } from '#factory/queue/queue.ts';
import type { Factory, Tools } from '#factory/steps/factory.ts';
import { Blobs } from '#factory/store/blobs.ts';
import { type Database, openDatabase } from '#factory/store/database.ts';
import { State } from '#factory/store/state.ts';
import { proofBeside, provenanceBeside } from '../../kpatch/module/proof-path.ts';
import { cveRecord, type RecordFacts } from '../../kpatch/test/advisory/records.ts';
import { lines, TestRepository } from './repository.ts';

export const RELEASE = '6.1.0-47-amd64';

export class World {
  readonly home: string;
  readonly repository: TestRepository;
  /** What reached the channel: the CVEs of each module, and what was withdrawn. */
  readonly published: { cves: string[]; withdrawn: string[] }[] = [];
  /** The proof and the provenance next to each module that was published, where `kpatch channel add` looks for them. */
  readonly companions: string[][] = [];
  readonly builds: string[][] = [];
  /** A build that has this text in a patch is refused. */
  refused = 'REFUSED';
  reasons: string[] = [];
  readonly #tree: string;
  readonly #records: string;

  /** The world that another process made in this folder. */
  static reopen(folder: string): World {
    return new World(folder, null);
  }

  constructor(folder: string, settings: object | null = {}) {
    this.home = join(folder, 'home');
    this.#tree = join(folder, 'source');
    this.#records = join(folder, 'cves');
    const files = { 'net/a.c': lines(60), 'net/b.c': lines(60), 'drivers/none.c': lines(60) };
    this.repository = new TestRepository(join(folder, 'linux'), settings === null ? undefined : files);
    if (settings === null) return;
    new TestRepository(this.#tree, files);
    for (const path of [this.home, this.#records]) mkdirSync(path, { recursive: true });
    const base = this.repository.git('rev-parse', 'HEAD');
    const config = {
      schema: 'kpatch.factory/1',
      feeds: [this.#records],
      kernels: [{ release: RELEASE, base }],
      repository: this.repository.folder,
      branch: 'stable',
      channel: join(folder, 'channel'),
      decision: 'automatic',
      ...settings,
    };
    writeFileSync(join(this.home, 'factory.json'), JSON.stringify(config));
  }

  /** A record of a CVE, affected from 5.7 on and fixed in 6.1.175. */
  record(facts: Partial<RecordFacts> & { id: string }): void {
    const record = cveRecord({ from: '5.7', fixedVersions: ['6.1.175', '7.0'], files: ['net/a.c'], ...facts });
    writeFileSync(join(this.#records, `${facts.id}.json`), JSON.stringify(record));
  }

  tools(): Tools {
    return {
      kernel: async (release) => ({
        tree: this.#tree,
        arch: 'x86_64',
        kernel: {
          release,
          scheme: 'deb',
          version: '6.1.170-3',
          changelogs: [],
          live: new Map(),
          code: {
            text: (path) => {
              try {
                return readFileSync(join(this.#tree, path), 'utf8');
              } catch {
                return undefined;
              }
            },
            built: (path) =>
              path.startsWith('net/') ? { state: 'built', objects: ['vmlinux'] } : { state: 'not built', reason: 'no' },
          },
        },
      }),
      build: async ({ patches, cves, version }) => {
        const texts = patches.map((file) => readFileSync(file, 'utf8'));
        this.builds.push(texts.map((text) => /^Subject: (.*)$/m.exec(text)?.[1] ?? ''));
        const bad = texts.find((text) => text.includes(this.refused));
        if (bad !== undefined) throw failure('usage', { problem: 'the made build refuses this patch' });
        return {
          name: `kpatch_${version}`,
          module: Buffer.from(JSON.stringify(cves)),
          functions: ['f'],
          provenance: 'how',
        };
      },
      prove: async (file) => {
        writeFileSync(proofPath(file), 'held');
        return this.reasons;
      },
      publish: async (_, file, withdrawn) => {
        const cves = JSON.parse(readFileSync(file, 'utf8')) as string[];
        this.companions.push([String(proofBeside(file)), String(provenanceBeside(file))]);
        // Another process looks at it too.
        appendFileSync(join(this.home, 'published'), `${cves.join(' ')}\n`);
        this.published.push({ cves, withdrawn: withdrawn.map(({ cve, reason }) => `${cve}: ${reason}`) });
      },
    };
  }

  async open(url?: string): Promise<{ factory: Factory; database: Database }> {
    const database = await openDatabase(this.home, url);
    const state = new State(database, new Blobs(join(this.home, 'store')));
    return { factory: { config: readConfig(this.home), state, tools: this.tools() }, database };
  }

  /** Runs the factory until no job is left; gives what was stored about the kernel. */
  async run(url?: string): Promise<Factory> {
    const { factory, database } = await this.open(url);
    const queue = await Queue.open(database);
    await queue.send({ step: 'ingest', kernel: '' });
    await queue.work(factory, { signal: AbortSignal.timeout(300_000), once: true });
    const left = await queue.pending();
    await queue.close();
    if (left > 0) throw new Error(`${left} jobs are left`);
    this.close = async () => {
      await database.close();
      // The lock is let go when this process reads its events again, which spawnSync would prevent.
      await new Promise((resolve) => setTimeout(resolve, 200));
    };
    return factory;
  }

  close: () => Promise<void> = async () => {};
}
