/** What a factory knows: pointers to results in the content-addressed store, decisions of people, and events. */
import type { Blobs } from './blobs.ts';
import type { Database } from './database.ts';

/** `accept` takes the hazards of a fix as judged by a person. */
export type DecisionWord = 'accept' | 'approve' | 'hold' | 'release' | 'withdraw';

export interface Decision {
  /** A CVE, a kernel release with a version, or (for `accept`) a commit. */
  readonly subject: string;
  readonly word: DecisionWord;
  readonly reason: string;
  readonly who: string;
  /** ISO 8601 UTC. */
  readonly at: string;
}

export interface FactoryEvent {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  /** Empty if it is about no kernel. */
  readonly kernel: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export class State {
  readonly #database: Database;
  readonly blobs: Blobs;

  constructor(database: Database, blobs: Blobs) {
    this.#database = database;
    this.blobs = blobs;
  }

  /** The digest that a name points to. */
  async pointer(name: string): Promise<string | undefined> {
    const [row] = await this.#database.query('select digest from factory.pointer where name = $1', [name]);
    return row === undefined ? undefined : String(row.digest);
  }

  async point(name: string, digest: string): Promise<void> {
    await this.#database.query(
      'insert into factory.pointer (name, digest) values ($1, $2) on conflict (name) do update set digest = $2, changed = now()',
      [name, digest],
    );
  }

  /** The document that a name points to. */
  async read<T>(name: string): Promise<T | undefined> {
    return await this.blobs.getJSON<T>(await this.pointer(name));
  }

  /** Stores a document under a name; true if it is another one than before. */
  async write(name: string, value: unknown): Promise<boolean> {
    const digest = await this.blobs.putJSON(value);
    if ((await this.pointer(name)) === digest) return false;
    await this.point(name, digest);
    return true;
  }

  async decide(decision: Omit<Decision, 'at'>): Promise<void> {
    const { subject, word, reason, who } = decision;
    await this.#database.query('insert into factory.decision (subject, word, reason, who) values ($1, $2, $3, $4)', [
      subject,
      word,
      reason,
      who,
    ]);
  }

  /** All decisions, oldest first. */
  async decisions(): Promise<Decision[]> {
    const rows = await this.#database.query('select subject, word, reason, who, at from factory.decision order by id');
    return rows.map((row) => ({
      subject: String(row.subject),
      word: row.word as DecisionWord,
      reason: String(row.reason),
      who: String(row.who),
      at: timeOf(row.at),
    }));
  }

  async note(kind: string, kernel: string, data: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#database.query('insert into factory.event (kind, kernel, data) values ($1, $2, $3)', [
      kind,
      kernel,
      JSON.stringify(data),
    ]);
  }

  /** Events after one, oldest first. */
  async events(after = 0): Promise<FactoryEvent[]> {
    const rows = await this.#database.query(
      'select id, at, kind, kernel, data from factory.event where id > $1 order by id',
      [after],
    );
    return rows.map((row) => ({
      id: Number(row.id),
      at: timeOf(row.at),
      kind: String(row.kind),
      kernel: String(row.kernel),
      data: row.data as Record<string, unknown>,
    }));
  }

  /** Everything but the queue, whose jobs follow from it, as lines of JSON for another version of the database. */
  async dump(): Promise<string> {
    const pointers = await this.#database.query('select name, digest from factory.pointer order by name');
    const all = [
      ...pointers.map((row) => ({ pointer: row })),
      ...(await this.decisions()).map((decision) => ({ decision })),
      ...(await this.events()).map((event) => ({ event })),
    ];
    return all.map((one) => `${JSON.stringify(one)}\n`).join('');
  }

  /** Reads a dump into an empty database. */
  async restore(dump: string): Promise<void> {
    for (const line of dump.split('\n').filter((one) => one !== '')) {
      const { pointer, decision, event } = JSON.parse(line) as {
        pointer?: { name: string; digest: string };
        decision?: Decision;
        event?: FactoryEvent;
      };
      if (pointer !== undefined) await this.point(pointer.name, pointer.digest);
      if (decision !== undefined) {
        const { subject, word, reason, who, at } = decision;
        await this.#database.query(
          'insert into factory.decision (subject, word, reason, who, at) values ($1, $2, $3, $4, $5)',
          [subject, word, reason, who, at],
        );
      }
      if (event !== undefined) {
        await this.#database.query('insert into factory.event (at, kind, kernel, data) values ($1, $2, $3, $4)', [
          event.at,
          event.kind,
          event.kernel,
          JSON.stringify(event.data),
        ]);
      }
    }
  }
}

function timeOf(value: unknown): string {
  return (value instanceof Date ? value : new Date(String(value))).toISOString();
}
