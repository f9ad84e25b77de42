/** What a factory knows: pointers to results in the content-addressed store, decisions of people, and events. */
import type { Blobs } from './blobs.ts';
import type { Database } from './database.ts';
import { type DocumentName, type DumpLine, documentFrom, dumpLines, type StoredDocument } from './documents.ts';

/** `accept` takes the hazards of a fix as judged by a person. The subject is a CVE, a kernel release with a version, or (for `accept`) a commit. */
export type Decision = Extract<DumpLine, { readonly decision: object }>['decision'];
export type DecisionWord = Decision['word'];

/** The kernel is empty if it is about none. */
export type FactoryEvent = Extract<DumpLine, { readonly event: object }>['event'];

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

  /** The stored document, of one kernel where it is about one; undefined if there is none. Error: `factory-document`. */
  async read<const N extends DocumentName>(name: N, kernel = ''): Promise<StoredDocument<N> | undefined> {
    const digest = await this.pointer(pointerName(name, kernel));
    return digest === undefined ? undefined : await this.document(name, digest);
  }

  /** The document with that digest; undefined if the store lacks it. Error: `factory-document`. */
  async document<const N extends DocumentName>(name: N, digest: string): Promise<StoredDocument<N> | undefined> {
    const bytes = await this.blobs.get(digest);
    return bytes === undefined ? undefined : documentFrom(name, bytes);
  }

  /** Stores a document under its name; true if it is another one than before. */
  async write<const N extends DocumentName>(name: N, kernel: string, value: StoredDocument<N>): Promise<boolean> {
    const digest = await this.blobs.put(JSON.stringify(value));
    const pointer = pointerName(name, kernel);
    if ((await this.pointer(pointer)) === digest) return false;
    await this.point(pointer, digest);
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

  /** Reads a dump into an empty database, all of it or nothing. Error: `factory-document`. */
  async restore(dump: string): Promise<void> {
    for (const line of dumpLines(dump)) {
      if ('pointer' in line) await this.point(line.pointer.name, line.pointer.digest);
      else if ('decision' in line) {
        const { subject, word, reason, who, at } = line.decision;
        await this.#database.query(
          'insert into factory.decision (subject, word, reason, who, at) values ($1, $2, $3, $4, $5)',
          [subject, word, reason, who, at],
        );
      } else {
        const { at, kind, kernel, data } = line.event;
        await this.#database.query('insert into factory.event (at, kind, kernel, data) values ($1, $2, $3, $4)', [
          at,
          kind,
          kernel,
          JSON.stringify(data),
        ]);
      }
    }
  }
}

/** `intake` and `feeds` are for all kernels. */
const pointerName = (name: DocumentName, kernel: string): string => (kernel === '' ? name : `${name}:${kernel}`);

function timeOf(value: unknown): string {
  return (value instanceof Date ? value : new Date(String(value))).toISOString();
}
