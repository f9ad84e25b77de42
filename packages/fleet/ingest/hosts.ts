/** The hosts that the server knows, in memory: who they are, and where the chain of their reports has got to. */
import type { Database, Row } from '../store/database.ts';
import type { ChainState } from './judge.ts';

export type Standing = 'normal' | 'restored' | 'cloned';

export interface KnownHost {
  readonly id: string;
  readonly name: string;
  /** The 32 bytes of its public key. */
  readonly key: Uint8Array;
  readonly labels: readonly string[];
  standing: Standing;
  state: ChainState;
  /** When it was heard of last (milliseconds); 0 before its first report. */
  seen: number;
  kernel: string;
  /** Digests of its enabled live patches, joined by spaces; `unknown:NAME` for one that another program loaded. */
  patch: string;
  boot: string;
  modules: string;
  /** Digest of what its reports say, without what changes in each. */
  digest: string;
  reports: number;
}

const columns = `h.id, h.name, h.key, h.labels, h.standing, c.seen, c.counter, c.link, c.at, c.other, coalesce(c.machine, h.machine) as machine,
  c.kernel, c.patch, c.boot, c.modules, c.digest, c.reports`;

export class Hosts {
  readonly #database: Database;
  readonly #known = new Map<string, KnownHost>();
  /** Hosts whose row may be newer than what is here, because a transaction ended in a way that is not known. */
  readonly #stale = new Set<string>();

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Reads all hosts that have not left. */
  static async load(database: Database): Promise<Hosts> {
    const hosts = new Hosts(database);
    for (let after = ''; ; ) {
      const rows = await database.query(
        `select ${columns} from fleet.host h left join fleet.checkin c on c.host = h.id
         where h."left" is null and h.id > $1 order by h.id limit 10000`,
        [after],
      );
      for (const row of rows) hosts.#keep(row);
      if (rows.length < 10_000) return hosts;
      after = String(rows.at(-1)!.id);
    }
  }

  get size(): number {
    return this.#known.size;
  }

  /** A host; undefined if there is none, or if it has left. */
  async find(id: string): Promise<KnownHost | undefined> {
    if (this.#stale.has(id)) {
      await this.refresh(id);
      this.#stale.delete(id);
    }
    return this.#known.get(id);
  }

  /** Reads a host again: it joined, was changed by a person, or left. */
  async refresh(id: string): Promise<void> {
    const [row] = await this.#database.query(
      `select ${columns} from fleet.host h left join fleet.checkin c on c.host = h.id where h.id = $1 and h."left" is null`,
      [id],
    );
    this.#known.delete(id);
    if (row !== undefined) this.#keep(row);
  }

  markStale(ids: Iterable<string>): void {
    for (const id of ids) this.#stale.add(id);
  }

  all(): IterableIterator<KnownHost> {
    return this.#known.values();
  }

  #keep(row: Row): void {
    const text = (name: string): string => (typeof row[name] === 'string' ? row[name] : '');
    const ms = (name: string): number => (row[name] instanceof Date ? row[name].getTime() : 0);
    this.#known.set(text('id'), {
      id: text('id'),
      name: text('name'),
      key: row.key as Uint8Array,
      labels: row.labels as string[],
      standing: text('standing') as Standing,
      state: {
        counter: Number(row.counter ?? 0),
        link: text('link'),
        at: ms('at'),
        other: (row.other as string[] | null) ?? [],
        machine: text('machine'),
      },
      seen: Number(row.reports ?? 0) === 0 ? 0 : ms('seen'),
      kernel: text('kernel'),
      patch: text('patch'),
      boot: text('boot'),
      modules: text('modules'),
      digest: text('digest'),
      reports: Number(row.reports ?? 0),
    });
  }
}
