/** The queue: every step is a job of pg-boss, delivered at least once. */
import type { Job as BossJob, PgBoss } from 'pg-boss';
import { type Factory, type Job, type StepName, stepNames } from '../steps/factory.ts';
import { runStep } from '../steps/steps.ts';
import type { Database } from '../store/database.ts';
import { Capacity, needOf } from './capacity.ts';

/** A job that is not finished after this time is given to another worker: a full proof of a large module takes hours. */
const EXPIRE_SECONDS = 12 * 3600;
/** A worker that sends no sign of life for so long is dead, and its job is given to another one. */
const HEARTBEAT_SECONDS = 30;
const SIGN_OF_LIFE_MS = 10_000;
/** How often a worker looks for jobs (milliseconds). */
const LOOK_MS = 400;
/** How often a job that fails is tried again; a killed worker does not count. */
const TRIES = 5;
const FIRST_DELAY_SECONDS = 5;
/** How long the database may be away (milliseconds): it may be started again. */
const AWAY_MS = 120_000;
/** How long jobs may go on when the worker is asked to end (milliseconds). */
const END_MS = 30_000;

export interface WorkOptions {
  readonly signal: AbortSignal;
  /** Until no job of these steps waits or runs. */
  readonly once?: boolean;
  /** Steps that this worker does (default: all). */
  readonly steps?: readonly StepName[];
  readonly capacity?: Capacity;
  readonly onJob?: (job: Job) => void;
}

interface JobData {
  readonly kernel: string;
  /** How often it has failed. */
  readonly failures?: number;
}

export class Queue {
  readonly #boss: PgBoss;
  readonly #database: Database;

  private constructor(boss: PgBoss, database: Database) {
    this.#boss = boss;
    this.#database = database;
  }

  /** Starts the queue and makes its tables. */
  static async open(database: Database): Promise<Queue> {
    const boss = database.boss();
    boss.on('error', () => {}); // pg-boss repeats what failed; lost connections end the worker where it uses them.
    await boss.start();
    // At most one job of a step and kernel waits, and at most one runs: both read what is stored when they start.
    const policy = 'stately';
    const options = {
      policy,
      // For workers that were killed; what fails is sent again by itself.
      retryLimit: 100_000,
      retryDelay: 1,
      expireInSeconds: EXPIRE_SECONDS,
      heartbeatSeconds: HEARTBEAT_SECONDS,
    } as const;
    for (const step of stepNames)
      if ((await boss.getQueue(step)) === null) await boss.createQueue(step, options).catch(() => {});
    const queue = new Queue(boss, database);
    // No other process can have them: what ran when this factory was killed starts again at once.
    if (database.alone) await queue.#restartActive();
    return queue;
  }

  /** On a server the missing sign of life does this, after half a minute. */
  async #restartActive(): Promise<void> {
    const again =
      "other.name = job.name and other.state = 'retry' and other.singleton_key is not distinct from job.singleton_key";
    await this.#database.query(
      `delete from pgboss.job where state = 'active' and exists (select 1 from pgboss.job other where ${again});
       update pgboss.job set state = 'retry', start_after = now(), started_on = null where state = 'active';`,
    );
  }

  async send({ step, kernel }: Job): Promise<void> {
    await this.#send({ step, kernel }, 0, 0);
  }

  async #send({ step, kernel }: Job, failures: number, startAfter: number): Promise<void> {
    await this.#boss.send(step, { kernel, failures }, { singletonKey: kernel === '' ? 'all' : kernel, startAfter });
  }

  /**
   * Works until `signal` is aborted. A job is taken only when processors and memory are free for it, so that it does not wait here
   * while another worker has time. Later steps come first: what is nearly published goes out.
   */
  async work(factory: Factory, options: WorkOptions): Promise<void> {
    const { signal, once = false, steps = stepNames, capacity = new Capacity() } = options;
    const order = stepNames.filter((step) => steps.includes(step)).reverse();
    const running = new Set<Promise<void>>();
    let heard = Date.now();
    while (!signal.aborted) {
      try {
        const started = await this.#startOne(factory, order, capacity, running, options.onJob);
        const isOver = once && !started && running.size === 0 && (await this.pending(steps)) === 0;
        heard = Date.now();
        if (isOver) break;
        if (started) continue;
      } catch (error) {
        if (Date.now() - heard > AWAY_MS) throw error;
      }
      await Promise.race([pause(LOOK_MS), ...running]);
    }
    await Promise.race([pause(END_MS), Promise.allSettled(running)]);
  }

  /** Starts the first job that fits; false if there is none. */
  async #startOne(
    factory: Factory,
    order: readonly StepName[],
    capacity: Capacity,
    running: Set<Promise<void>>,
    onJob?: (job: Job) => void,
  ): Promise<boolean> {
    for (const step of order) {
      const need = needOf(step, factory.config.proof, capacity.cores);
      if (!capacity.fits(need)) continue;
      const [job] = await this.#boss.fetch<JobData>(step);
      if (job === undefined) continue;
      const taken = capacity.take(need);
      const one: Job = { step, kernel: job.data.kernel };
      onJob?.(one);
      const done = this.#carryOut(factory, one, job).finally(() => {
        taken[Symbol.dispose]();
        running.delete(done);
      });
      running.add(done);
      return true;
    }
    return false;
  }

  /** Carries a job out. It throws nothing: without the database, the job goes to a worker that has it. */
  async #carryOut(factory: Factory, one: Job, job: BossJob<JobData>): Promise<void> {
    const { step } = one;
    // A lost sign of life costs nothing but a second delivery.
    const alive = setInterval(() => void this.#boss.touch(step, job).catch(() => {}), SIGN_OF_LIFE_MS);
    try {
      for (const next of await runStep(factory, one)) await this.send(next);
      await this.#boss.complete(step, job);
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      await this.#tryAgain(factory, one, job, problem).catch(() => {});
    } finally {
      clearInterval(alive);
    }
  }

  async #tryAgain(factory: Factory, one: Job, job: BossJob<JobData>, problem: string): Promise<void> {
    const { step, kernel } = one;
    const failures = (job.data.failures ?? 0) + 1;
    const isOver = failures > TRIES;
    await factory.state.note('failed', kernel, { step, problem, ...(isOver ? { text: 'not tried again' } : {}) });
    // Before the end of this one, so that the job is never lost.
    if (!isOver) await this.#send(one, failures, FIRST_DELAY_SECONDS * 2 ** (failures - 1));
    await this.#boss.complete(step, job);
  }

  /** Jobs of these steps that wait, run or are tried again. */
  async pending(steps: readonly StepName[] = stepNames): Promise<number> {
    const [row] = await this.#database.query(
      "select count(*)::int as count from pgboss.job where state in ('created', 'retry', 'active') and name = any($1)",
      [steps],
    );
    return Number(row?.count ?? 0);
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: END_MS, close: false });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
