/** Takes reports: verifies, judges, writes in batches, answers with what the host is to do. */
import { type FleetAnswer, type FleetReport, openReport, publicKeyFrom, readSealed } from 'kpatch/fleet';
import type { Database } from '../store/database.ts';
import { type Accepted, writeBatch } from './batch.ts';
import { contentOf, digestOf, modulesOf, patchOf } from './facts.ts';
import type { Hosts, KnownHost, Standing } from './hosts.ts';
import { judge, stateAfter, type Verdict } from './judge.ts';
import { RateLimit } from './limit.ts';

export type Choice = FleetAnswer['choices'][number];

/** What rollouts decide about a host. Both are asked for every report, so they answer from memory. */
export interface Decider {
  choicesFor(host: KnownHost, report: FleetReport): readonly Choice[];
  /** The group that the evidence of a host belongs to. */
  labelFor(host: KnownHost): string;
}

/** Without rollouts every host keeps what it has. */
export const noRollouts: Decider = { choicesFor: () => [], labelFor: () => '' };

export interface IngestOptions {
  readonly intervalSeconds: number;
  readonly reportsPerMinute: number;
  readonly bytesPerDay: number;
  readonly now?: () => number;
  readonly onVerdict?: (verdict: Verdict | 'unknown' | 'forged' | 'limited' | 'malformed') => void;
}

/** What is answered to the host. */
export interface Reply {
  readonly status: 200 | 400 | 401 | 403 | 409 | 413 | 429 | 503;
  readonly body: FleetAnswer | { readonly error: string };
}

/** A batch is written when it is this old (milliseconds), or this long. */
const BATCH_MS = 25;
const BATCH_SIZE = 500;

interface Waiting {
  readonly accepted: Accepted;
  readonly done: (error?: unknown) => void;
}

export class Ingest {
  readonly #database: Database;
  readonly #hosts: Hosts;
  readonly #options: IngestOptions;
  readonly #limit: RateLimit;
  readonly #budget: RateLimit;
  readonly #modules: Set<string>;
  readonly #busy = new Map<string, Promise<unknown>>();
  decider: Decider = noRollouts;
  /** Called when a report may decide a rollout: another patch, or something that went wrong. */
  onNews: () => void = () => {};
  #batch: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(database: Database, hosts: Hosts, modules: Set<string>, options: IngestOptions) {
    this.#database = database;
    this.#hosts = hosts;
    this.#modules = modules;
    this.#options = options;
    this.#limit = new RateLimit(options.reportsPerMinute);
    this.#budget = new RateLimit(options.bytesPerDay, 86_400_000);
  }

  static async open(database: Database, hosts: Hosts, options: IngestOptions): Promise<Ingest> {
    const rows = await database.query<{ digest: string }>('select digest from fleet.module_set');
    return new Ingest(database, hosts, new Set(rows.map(({ digest }) => digest)), options);
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  /** Takes one envelope, as parsed JSON. Never throws. */
  async take(envelope: unknown): Promise<Reply> {
    const note = this.#options.onVerdict ?? (() => {});
    const sealed = readSealed(envelope);
    if (sealed === undefined) {
      note('malformed');
      return refuse(400, 'it is not a signed report');
    }
    const host = await this.#hosts.find(sealed.host).catch(() => null);
    if (host === null) return unavailable;
    if (host === undefined) {
      note('unknown');
      return refuse(403, 'this machine does not belong to the fleet: join it again');
    }
    const report = openReport(sealed, publicKeyFrom(host.key));
    if (typeof report === 'string') {
      note('forged');
      return refuse(401, report);
    }
    if (!this.#limit.take(host.id, this.#now())) {
      note('limited');
      return refuse(429, 'too many reports: wait a minute');
    }
    if (!this.#budget.take(host.id, this.#now(), sealed.payload.length)) {
      note('limited');
      return refuse(429, 'this machine has sent as many bytes as one may send in a day');
    }
    return await this.#inTurn(host.id, () => this.#judged(host.id, report));
  }

  /** Reports of one host are taken one after the other: each is judged by the one before it. */
  async #inTurn(id: string, work: () => Promise<Reply>): Promise<Reply> {
    const before = this.#busy.get(id);
    const turn = (before ?? Promise.resolve()).then(work);
    this.#busy.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#busy.get(id) === turn) this.#busy.delete(id);
    }
  }

  async #judged(id: string, report: FleetReport): Promise<Reply> {
    const host = await this.#hosts.find(id).catch(() => null);
    if (host === null) return unavailable;
    if (host === undefined) return refuse(403, 'this machine does not belong to the fleet: join it again');
    const verdict = host.standing === 'cloned' ? 'cloned' : judge(host.state, report);
    this.#options.onVerdict?.(verdict);
    if (verdict === 'again' || verdict === 'replayed') return this.#answer(host, report, verdict);
    const standing: Standing = verdict === 'cloned' ? 'cloned' : verdict === 'restored' ? 'restored' : host.standing;
    const accepted = this.#accepted(host, report, verdict, standing);
    try {
      await this.#write(accepted);
    } catch (error) {
      return isRefused(error) ? refuse(400, 'the report cannot be stored') : unavailable;
    }
    const isNews = accepted.content !== undefined && (accepted.patch !== host.patch || report.incidents.length > 0);
    remember(host, accepted);
    if (isNews) this.onNews();
    if (modulesOf(report) !== undefined) this.#modules.add(report.modules.digest);
    return this.#answer(host, report, verdict);
  }

  #accepted(host: KnownHost, report: FleetReport, verdict: Verdict, standing: Standing): Accepted {
    const now = this.#now();
    const content = contentOf(report);
    const digest = digestOf(content);
    const patch = patchOf(report);
    // A host that was away is not under observation while it was.
    const since = host.seen === 0 ? 0 : Math.max(0, now - host.seen) / 1000;
    return {
      host,
      report,
      verdict,
      state: stateAfter(host.state, report, verdict, now),
      standing,
      now,
      patch,
      content: digest === host.digest ? undefined : content,
      digest,
      observed: Math.min(since, this.#options.intervalSeconds * 3),
      label: this.decider.labelFor(host),
    };
  }

  #answer(host: KnownHost, report: FleetReport, verdict: Verdict): Reply {
    const { standing } = host;
    const choices = standing === 'cloned' || verdict === 'replayed' ? [] : [...this.decider.choicesFor(host, report)];
    const body: FleetAnswer = {
      schema: 'kpatch.fleet-answer/1',
      host: host.id,
      taken: report.counter,
      counter: host.state.counter,
      standing,
      intervalSeconds: this.#options.intervalSeconds,
      choices,
      modules: this.#modules.has(report.modules.digest) ? report.modules.digest : '',
    };
    return { status: verdict === 'replayed' || standing === 'cloned' ? 409 : 200, body };
  }

  /** Puts a report into the batch; settles when its transaction has. */
  #write(accepted: Accepted): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#batch.push({ accepted, done: (error) => (error === undefined ? resolve() : reject(error as Error)) });
      if (this.#batch.length >= BATCH_SIZE) this.#flush();
      else this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
    });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0) this.#writing = this.#writing.then(() => this.#commit(batch));
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    try {
      await writeBatch(
        this.#database,
        batch.map(({ accepted }) => accepted),
      );
      for (const { done } of batch) done();
    } catch (error) {
      // The commit may have happened although its answer was lost.
      this.#hosts.markStale(batch.map(({ accepted }) => accepted.host.id));
      // One report that the database refuses must not hold back the others.
      if (isRefused(error) && batch.length > 1) for (const one of batch) await this.#commit([one]);
      else for (const { done } of batch) done(error ?? new Error('not written'));
    }
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    this.#flush();
    await this.#writing;
  }
}

/** True for an error in the data (SQLSTATE classes 22 and 23), not in the connection. */
function isRefused(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^2[23]\w{3}$/.test(code);
}

const refuse = (status: Exclude<Reply['status'], 200>, error: string): Reply => ({ status, body: { error } });
const unavailable = refuse(503, 'the database of the server cannot be reached; the report was not stored');

function remember(host: KnownHost, { report, state, standing, now, patch, digest }: Accepted): void {
  host.state = state;
  host.standing = standing;
  host.seen = now;
  host.kernel = report.kernel.release;
  host.patch = patch;
  host.boot = report.boot.id;
  host.modules = report.modules.digest;
  host.digest = digest;
  host.reports++;
}
