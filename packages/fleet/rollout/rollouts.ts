/**
 * The rollouts of a server: answers from memory which release a host may have, and looks every minute at what happened to decide what
 * comes next.
 */
import type { Database } from '../store/database.ts';
import { type Action, type Decision, decide, type Freeze, freezeFor, type RingFacts } from './decide.ts';
import { type Group, judge } from './evidence.ts';
import { type Grant, grantAmong, hasRelease } from './grant.ts';
import { observe, readHistory } from './observe.ts';
import { ringOf } from './ring.ts';
import {
  addEvent,
  type Look,
  readFreezes,
  readRollouts,
  type StoredRollout,
  setLook,
  setRing,
  setState,
} from './store.ts';

/** A host as rollouts see it. The server keeps all of them in memory. */
export interface Member {
  readonly id: string;
  readonly labels: readonly string[];
  readonly kernel: string;
  /** Digests of its enabled live patches, joined by spaces. */
  readonly patch: string;
  /** When it was heard of last (milliseconds); 0 before its first report. */
  readonly seen: number;
}

export interface Choice {
  readonly release: string;
  readonly sha256: string;
  readonly rollout?: number;
}

export interface RolloutOptions {
  readonly now?: () => number;
}

/** A host is away after this long (milliseconds): rings do not wait for it. */
const AWAY_MS = 2 * 3_600_000;
/** Points of the charts are this far apart at least (milliseconds). */
const CHART_MS = 10 * 60_000;
/** How long a rollout can still be halted by evidence after it finished (milliseconds). */
const AFTERCARE_MS = 30 * 86_400_000;

export class Rollouts {
  readonly #database: Database;
  readonly #hosts: () => Iterable<Member>;
  readonly #now: () => number;
  #rollouts: readonly StoredRollout[] = [];
  #freezes: readonly Freeze[] = [];
  readonly #history = new Map<string, Group>();
  readonly #rings = new Map<string, WeakMap<Member, number>>();
  readonly #charted = new Map<string, number>();
  #looking: Promise<void> = Promise.resolve();

  private constructor(database: Database, hosts: () => Iterable<Member>, options: RolloutOptions) {
    this.#database = database;
    this.#hosts = hosts;
    this.#now = options.now ?? Date.now;
  }

  /** `hosts` lists all hosts that belong to the fleet. */
  static async open(
    database: Database,
    hosts: () => Iterable<Member>,
    options: RolloutOptions = {},
  ): Promise<Rollouts> {
    const rollouts = new Rollouts(database, hosts, options);
    await rollouts.refresh();
    return rollouts;
  }

  /** Reads everything again; called after a person changed a rollout. */
  async refresh(): Promise<void> {
    this.#rollouts = await readRollouts(this.#database);
    this.#freezes = await readFreezes(this.#database);
  }

  /** The group whose hosts are compared with each other: the label site=…, or all hosts. */
  labelFor(host: { readonly labels: readonly string[] }): string {
    return host.labels.find((one) => one.startsWith('site=')) ?? '';
  }

  /** What the rollouts for the kernel of a host say about it; undefined if there is none. */
  grantFor(host: Member): (Grant & { readonly rollout: StoredRollout }) | undefined {
    const rollouts = this.#rollouts.filter((one) => one.kernel === host.kernel && one.state !== 'draft');
    return grantAmong(rollouts, host, this.#freezes, this.#now());
  }

  /** The patches that a host may have; what it has stays chosen while it may not move. */
  choicesFor(host: Member): Choice[] {
    const granted = this.grantFor(host);
    const isKnown = /^[0-9a-f]{64}$/.test(host.patch);
    const sha256 = granted?.release ?? (isKnown ? host.patch : '');
    if (sha256 === '') return [];
    return [
      { release: host.kernel, sha256, ...(granted === undefined ? {} : { rollout: Number(granted.rollout.id) }) },
    ];
  }

  /** Looks at every rollout and carries out what follows, one look after the other. Call it once a minute, and when a report brings news. */
  look(): Promise<void> {
    const turn = this.#looking.catch(() => {}).then(() => this.#look());
    this.#looking = turn;
    return turn;
  }

  async #look(): Promise<void> {
    await this.refresh();
    const watched = this.#rollouts.filter((one) => this.#isWatched(one)).map(({ id }) => id);
    for (const id of watched) {
      // A ring that needs no time ends in the look in which it begins; no rollout takes more steps than its rings have.
      for (let step = 0; step < 150; step++) {
        const rollout = this.#rollouts.find((one) => one.id === id);
        if (rollout === undefined || (step > 0 && rollout.state !== 'running') || !(await this.#lookAt(rollout))) break;
        await this.refresh();
      }
    }
    await this.refresh();
  }

  /** A finished rollout is looked at less often, for some weeks: harm that is rare or comes late halts it too. */
  #isWatched({ id, state, finished = 0 }: StoredRollout): boolean {
    if (state === 'running' || state === 'paused') return true;
    const now = this.#now();
    if (state !== 'finished' || now > finished + AFTERCARE_MS) return false;
    return now - (this.#charted.get(id) ?? 0) >= CHART_MS;
  }

  /** True if it carried something out, so that there may be more to do. */
  async #lookAt(rollout: StoredRollout): Promise<boolean> {
    const now = this.#now();
    const started = rollout.started ?? rollout.created;
    const history = this.#history.get(rollout.id) ?? (await readHistory(this.#database, started));
    this.#history.set(rollout.id, history);
    const members = this.#membersOf(rollout);
    const patched = members.filter(({ host }) => hasRelease(host, rollout.release)).length;
    const { kernel, release } = rollout;
    const seen = await observe(
      this.#database,
      { kernel, release, started },
      history,
      (host) => this.labelFor(host),
      patched,
    );
    const isFrozen = (host: Member): boolean => freezeFor(this.#freezes, host.labels, now) !== undefined;
    const rings = ringFacts(rollout, members, seen.unable, isFrozen, now);
    const judgement = judge(seen.tally, seen.transitions);
    const decision = decide(rollout, { judgement, hostDays: seen.hostDays, rings, freezes: this.#freezes }, now);
    await this.#carryOut(rollout, decision, {
      at: now,
      because: decision.because,
      facts: { judgement, hostDays: seen.hostDays, rings },
    });
    return decision.actions.length > 0;
  }

  async #carryOut(rollout: StoredRollout, { actions, because }: Decision, look: Look): Promise<void> {
    const { id } = rollout;
    const { at, facts } = look;
    const isCharted = actions.length > 0 || at - (this.#charted.get(id) ?? 0) >= CHART_MS;
    if (isCharted) this.#charted.set(id, at);
    await this.#database.transaction(async (queries) => {
      // A person may have changed it while the look took place.
      const [row] = await queries.query<{ state: string }>('select state from fleet.rollout where id = $1 for update', [
        id,
      ]);
      if (row?.state !== rollout.state) return;
      await setLook(queries, id, look);
      for (const action of actions) {
        await apply(queries, id, action, at);
        await addEvent(
          queries,
          id,
          at,
          action.do,
          action.do === 'halt' ? action.reason : because.map(({ text }) => text).join(' '),
        );
      }
      if (isCharted) await addEvent(queries, id, at, 'look', '', pointOf(facts));
    });
  }

  #membersOf(rollout: StoredRollout): { readonly host: Member; readonly ring: number }[] {
    const places = this.#rings.get(rollout.id) ?? new WeakMap<Member, number>();
    this.#rings.set(rollout.id, places);
    const members: { host: Member; ring: number }[] = [];
    for (const host of this.#hosts()) {
      if (host.kernel !== rollout.kernel) continue;
      let ring = places.get(host);
      if (ring === undefined) {
        ring = ringOf(rollout.id, rollout.rings, host) ?? -1;
        places.set(host, ring);
      }
      if (ring !== -1) members.push({ host, ring });
    }
    return members;
  }
}

function ringFacts(
  rollout: StoredRollout,
  members: readonly { readonly host: Member; readonly ring: number }[],
  unable: ReadonlySet<string>,
  isFrozen: (host: Member) => boolean,
  now: number,
): RingFacts[] {
  const facts = rollout.rings.map(() => ({ hosts: 0, patched: 0, away: 0, unable: 0, frozen: 0 }));
  for (const { host, ring } of members) {
    const one = facts[ring]!;
    one.hosts++;
    if (hasRelease(host, rollout.release)) one.patched++;
    else if (unable.has(host.id)) one.unable++;
    else if (now - host.seen > AWAY_MS) one.away++;
    else if (isFrozen(host)) one.frozen++;
  }
  return facts;
}

async function apply(queries: Parameters<typeof setRing>[0], id: string, action: Action, now: number): Promise<void> {
  if (action.do === 'halt') return await setState(queries, id, 'halted', action.reason, now);
  if (action.do === 'finish') return await setState(queries, id, 'finished', '', now);
  const state = { open: 'open', settle: 'soaking', complete: 'done' } as const;
  await setRing(queries, id, action.ring, state[action.do], now);
}

/** One point of the charts of a rollout. */
export interface Point {
  readonly evidence: number;
  readonly hostDays: number;
  readonly patched: number;
  readonly hosts: number;
  readonly crashes: number;
  readonly expected: number;
}

function pointOf({ judgement, hostDays, rings }: Look['facts']): Point {
  const crash = judgement.findings.find(({ metric }) => metric === 'crash')!;
  const sum = (of: (ring: RingFacts) => number): number => rings.reduce((all, ring) => all + of(ring), 0);
  return {
    evidence: judgement.evidence,
    hostDays,
    patched: sum(({ patched }) => patched),
    hosts: sum(({ hosts }) => hosts),
    crashes: crash.events,
    expected: crash.expected,
  };
}
