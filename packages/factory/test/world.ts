/** A small world for tests of the factory: a repository, records, and tools that stand in for building and proving. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { failure, proofPath } from 'kpatch/parts';
import { readConfig } from '#factory/config.ts';
import { Queue } from '#factory/queue/queue.ts';
import type { Factory, Tools } from '#factory/steps/factory.ts';
import { FolderBlobs } from '#factory/store/blobs.ts';
import { type Database, openDatabase } from '#factory/store/database.ts';
import { State } from '#factory/store/state.ts';
import { proofBeside, provenanceBeside } from '../../kpatch/module/proof-path.ts';
import { cveRecord, type RecordFacts } from '../../kpatch/test/advisory/records.ts';
import { giveDatabase } from './empty-database.ts';
import { lines, TestRepository } from './repository.ts';

export const RELEASE = '6.1.0-47-amd64';

const hazard = {
  kind: 'lock-change',
  place: 'net/a.c:30',
  function: 'f',
  reason: 'it returns with another lock',
  remedy: 'release it',
} as const;

const subjectIn = (text: string): string => /^Subject: (.*)$/m.exec(text)?.[1] ?? '';
const subjectOf = (file: string): string => subjectIn(readFileSync(file, 'utf8'));

export class World {
  readonly home: string;
  readonly repository: TestRepository;
  /** What reached the channel: the CVEs of each module, and what was withdrawn. */
  readonly published: { cves: string[]; withdrawn: string[] }[] = [];
  /** The proof and the provenance next to each module that was published, where `kpatch channel add` looks for them. */
  readonly companions: string[][] = [];
  readonly builds: string[][] = [];
  /** Subjects of what was reviewed, each with those before it. */
  readonly reviews: string[][] = [];
  /** Files of modules that were proven, each with its predecessors. */
  readonly proofs: string[][] = [];
  /** A build that has this text in a patch is refused. */
  refused = 'REFUSED';
  reasons: string[] = [];
  /** Another kernel of the line. */
  newer?: { readonly release: string; readonly version: string; readonly tree: string };
  afterProof: () => void = () => {};
  readonly #tree: string;
  readonly #records: string;

  /** The world that another process made in this folder. */
  static reopen(folder: string): World {
    return new World(folder, null);
  }

  constructor(folder: string, settings: object | null = {}, more: Readonly<Record<string, string>> = {}) {
    this.home = join(folder, 'home');
    this.#tree = join(folder, 'source');
    this.#records = join(folder, 'cves');
    const files = { 'net/a.c': lines(60), 'net/b.c': lines(60), 'drivers/none.c': lines(60), ...more };
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
        tree: release === this.newer?.release ? this.newer.tree : this.#tree,
        arch: 'x86_64',
        kernel: {
          release,
          scheme: 'deb',
          version: release === this.newer?.release ? this.newer.version : '6.1.170-3',
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
        this.builds.push(texts.map((text) => subjectIn(text)));
        const bad = texts.find((text) => text.includes(this.refused));
        if (bad !== undefined)
          throw failure('usage', { problem: 'the made build refuses this patch' }, { detail: 'a.c:1: error' });
        if (texts.some((text) => text.includes('+DATA'))) throw failure('diff-data-changed', { name: 'limit' });
        return {
          name: `kpatch_${version}`,
          module: Buffer.from(
            JSON.stringify({ cves, panics: texts.some((text) => text.includes('+PANIC')) && 'PANIC' }),
          ),
          functions: ['f'],
          provenance: 'how',
        };
      },
      review: async (_, requests) =>
        requests.map(({ patches, earlier }) => {
          this.reviews.push([...earlier, ...patches].map(subjectOf));
          return readFileSync(patches[0]!, 'utf8').includes('+HAZARD') ? [hazard] : [];
        }),
      rewrite: async ({ patches }) => {
        const text = readFileSync(patches[0]!, 'utf8');
        if (text.includes('HOPELESS')) throw failure('rewrite-refused', { name: 'x', problem: 'no rule can' });
        return { patch: text.slice(text.indexOf('diff --git')).replaceAll('DATA', 'callback'), notes: ['a rule'] };
      },
      prove: async ({ module, predecessors }) => {
        writeFileSync(proofPath(module), 'held');
        this.proofs.push([basename(module), ...predecessors.map((file) => basename(file))]);
        const fails = readFileSync(module, 'utf8').includes('PANIC');
        const reasons = fails ? ['the kernel panics'] : this.reasons;
        this.afterProof();
        return { reasons, report: '<p>report</p>' };
      },
      publish: async (_, file, withdrawn) => {
        const { cves } = JSON.parse(readFileSync(file, 'utf8')) as { cves: string[] };
        this.companions.push([String(proofBeside(file)), String(provenanceBeside(file))]);
        // Another process looks at it too.
        appendFileSync(join(this.home, 'published'), `${cves.join(' ')}\n`);
        this.published.push({ cves, withdrawn: withdrawn.map(({ cve, reason }) => `${cve}: ${reason}`) });
      },
    };
  }

  async open(url?: string): Promise<{ factory: Factory; database: Database }> {
    if (url === undefined) await giveDatabase(this.home);
    const database = await openDatabase(this.home, url);
    const state = new State(database, new FolderBlobs(join(this.home, 'store')));
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
