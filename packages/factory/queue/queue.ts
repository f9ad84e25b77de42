/** The queue: every step is a job of pg-boss, delivered at least once. */
import type { PgBoss } from 'pg-boss';
import type { Factory, Job, StepName } from '../steps/factory.ts';
import { runStep } from '../steps/steps.ts';
import type { Database } from '../store/database.ts';

const steps: readonly StepName[] = ['ingest', 'triage', 'series', 'build', 'prove', 'publish'];

/** A job that is not finished after this time is given to another worker: a proof takes up to an hour. */
const EXPIRE_SECONDS = 2 * 3600;
/** A worker that sends no sign of life for so long is dead, and its job is given to another one. */
const HEARTBEAT_SECONDS = 30;

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
      retryLimit: 5,
      retryDelay: 5,
      retryBackoff: true,
      expireInSeconds: EXPIRE_SECONDS,
      heartbeatSeconds: HEARTBEAT_SECONDS,
    } as const;
    for (const step of steps)
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
    await this.#boss.send(step, { kernel }, { singletonKey: kernel === '' ? 'all' : kernel });
  }

  /** Works until `signal` is aborted; with `once`, until no job waits or runs. */
  async work(
    factory: Factory,
    options: { readonly signal: AbortSignal; readonly once?: boolean; readonly onJob?: (job: Job) => void },
  ): Promise<void> {
    for (const step of steps) {
      await this.#boss.work<{ kernel: string }>(step, { batchSize: 1, pollingIntervalSeconds: 0.5 }, async ([job]) => {
        if (job === undefined) return;
        const one: Job = { step, kernel: job.data.kernel };
        options.onJob?.(one);
        try {
          for (const next of await runStep(factory, one)) await this.send(next);
        } catch (error) {
          const problem = error instanceof Error ? error.message : String(error);
          await factory.state.note('failed', one.kernel, { step, problem });
          throw error;
        }
      });
    }
    while (!options.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      if (options.once === true && (await this.pending()) === 0) break;
    }
  }

  /** Jobs that wait, run or are tried again. */
  async pending(): Promise<number> {
    const [row] = await this.#database.query(
      "select count(*)::int as count from pgboss.job where state in ('created', 'retry', 'active') and name = any($1)",
      [steps],
    );
    return Number(row?.count ?? 0);
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: 30_000, close: false });
  }
}
