/** What a person does with a rollout: each is one transaction with an event and an entry of the audit log. */
import { failure } from 'kpatch/parts';
import { type Actor, audit } from '../access/audit.ts';
import { checkedLabels } from '../access/tokens.ts';
import type { Database, Queries } from '../store/database.ts';
import type { Freeze, RolloutState } from './decide.ts';
import { planRings, watchSeconds } from './plan.ts';
import { parsePlan } from './plan-file.ts';
import { planProblem } from './ring.ts';
import {
  addEvent,
  insertRollout,
  type NewRollout,
  readFreezes,
  readRollouts,
  type StoredRollout,
  setRing,
  setState,
  writeFreezes,
} from './store.ts';
import { isZone } from './window.ts';

/** Stores a rollout that nobody has started yet and returns its id. Error: `fleet-rollout`. */
export async function createRollout(
  database: Database,
  actor: Actor,
  rollout: NewRollout,
  now = Date.now(),
): Promise<string> {
  const zone = rollout.rings.flatMap(({ windows }) => windows).find((one) => !isZone(one.zone))?.zone;
  const problem = planProblem(rollout.rings) ?? (zone === undefined ? undefined : `${zone} is not a time zone`);
  if (problem !== undefined) throw failure('fleet-rollout', { action: 'create the rollout', problem });
  return await database.transaction(async (queries) => {
    const id = await insertRollout(queries, rollout, actor.who, now);
    await note(queries, actor, id, now, 'create', `${actor.who} created it: ${rollout.title}`);
    return id;
  });
}

/** Plans a rollout as the command line and the API do; `plan` is the text of a plan, without which rings grow tenfold. Error: `fleet-rollout`. */
export async function planned(
  database: Database,
  actor: Actor,
  options: { kernel: string; release: string; previous: string; title: string; plan: string | undefined },
  planName = 'given',
): Promise<string> {
  const { kernel, release, previous, title, plan: text } = options;
  const [row] = await database.query<{ hosts: number }>(
    'select count(*)::int as hosts from fleet.checkin where kernel = $1',
    [kernel],
  );
  const hosts = Math.max(1, row?.hosts ?? 0);
  const plan = text === undefined ? { rings: planRings(hosts), watchSeconds: undefined } : parsePlan(text, planName);
  return await createRollout(database, actor, {
    title: title === '' ? `${release.slice(0, 12)} for ${kernel}` : title,
    kernel,
    release,
    previous,
    rings: plan.rings,
    watchSeconds: plan.watchSeconds ?? watchSeconds(hosts),
  });
}

/** Which states an action can begin in, and where it leads. */
const steps = {
  start: { from: ['draft'], to: 'running', words: 'started it' },
  pause: { from: ['running'], to: 'paused', words: 'paused it' },
  resume: { from: ['paused'], to: 'running', words: 'resumed it' },
  halt: { from: ['running', 'paused', 'finished'], to: 'halted', words: 'halted it' },
} as const satisfies Record<string, { from: readonly RolloutState[]; to: RolloutState; words: string }>;

export type Step = keyof typeof steps;
export const stepNames = Object.keys(steps) as readonly Step[];

/** Starts, pauses, resumes or halts a rollout. Errors: `fleet-rollout`, `fleet-no-rollout`. */
export async function stepRollout(
  database: Database,
  actor: Actor,
  id: string,
  step: Step,
  reason: string,
  now = Date.now(),
): Promise<void> {
  const { from, to, words } = steps[step];
  await changing(database, id, step, async (queries, rollout) => {
    if (!(from as readonly RolloutState[]).includes(rollout.state)) return `it is ${rollout.state}`;
    if (step === 'start') {
      const other = (await readRollouts(queries)).find(
        (one) => one.id !== id && one.kernel === rollout.kernel && (one.state === 'running' || one.state === 'paused'),
      );
      if (other !== undefined) return `rollout ${other.id} for ${rollout.kernel} is ${other.state}; halt it first`;
    }
    const text = `${actor.who} ${words}${reason === '' ? '.' : `: ${reason}`}`;
    await setState(queries, id, to, to === 'running' ? '' : text, now);
    await note(queries, actor, id, now, step, text);
    return undefined;
  });
}

/**
 * Brings the hosts of some rings (all if none are named) back to the release before. The rollout is halted if it is not over, so that no
 * other ring opens. Errors: `fleet-rollout`, `fleet-no-rollout`.
 */
export async function rollBack(
  database: Database,
  actor: Actor,
  id: string,
  rings: readonly string[],
  reason: string,
  now = Date.now(),
): Promise<void> {
  await changing(database, id, 'roll back', async (queries, rollout) => {
    if (rollout.state === 'draft' || rollout.state === 'rolled back') return `it is ${rollout.state}`;
    const unknown = rings.find((name) => !rollout.rings.some((one) => one.name === name));
    if (unknown !== undefined) return `it has no ring ${unknown}`;
    const chosen = rollout.rings.flatMap(({ name }, at) => (rings.length === 0 || rings.includes(name) ? at : []));
    for (const at of chosen) await setRing(queries, id, at, 'rolled back', now);
    const isWhole = rollout.rings.every(({ state }, at) => state === 'rolled back' || chosen.includes(at));
    const what = rings.length === 0 ? 'all rings' : rings.join(', ');
    const text = `${actor.who} rolled back ${what}${reason === '' ? '.' : `: ${reason}`}`;
    await setState(queries, id, isWhole ? 'rolled back' : 'halted', text, now);
    await note(queries, actor, id, now, 'roll-back', text);
    return undefined;
  });
}

/**
 * Stops all rollouts of the fleet from now on, or with `group` for the hosts with that label, until `to` or until `unfreeze`. Halts and
 * rollbacks go on. Error: `usage`.
 */
export async function freeze(
  database: Database,
  actor: Actor,
  reason: string,
  to: number | undefined,
  now = Date.now(),
  group?: string,
): Promise<void> {
  if (group !== undefined) checkedLabels([group]);
  await database.transaction(async (queries) => {
    const one: Freeze = { from: now, to, reason, by: actor.who, ...(group === undefined ? {} : { group }) };
    const others = (await readFreezes(queries)).filter((other) => other.to === undefined || other.to > now);
    await writeFreezes(queries, [...others, one]);
    await audit(queries, actor, 'freeze', group ?? 'rollouts', { reason, to });
  });
}

/** Lifts every freeze, or those of one group. */
export async function unfreeze(database: Database, actor: Actor, group?: string): Promise<void> {
  await database.transaction(async (queries) => {
    const left = group === undefined ? [] : (await readFreezes(queries)).filter((one) => one.group !== group);
    await writeFreezes(queries, left);
    await audit(queries, actor, 'unfreeze', group ?? 'rollouts');
  });
}

/** Runs `work` on one rollout; a text that it returns is the reason why it cannot be done. Errors: `fleet-rollout`, `fleet-no-rollout`. */
async function changing(
  database: Database,
  id: string,
  action: string,
  work: (queries: Queries, rollout: StoredRollout) => Promise<string | undefined>,
): Promise<void> {
  const refuse = (problem: string): Error => failure('fleet-rollout', { action: `${action} rollout ${id}`, problem });
  if (!/^\d{1,9}$/.test(id)) throw failure('fleet-no-rollout', { rollout: id });
  await database.transaction(async (queries) => {
    await queries.query('select 1 from fleet.rollout where id = $1 for update', [id]);
    const [rollout] = await readRollouts(queries, id);
    if (rollout === undefined) throw failure('fleet-no-rollout', { rollout: id });
    const problem = await work(queries, rollout);
    if (problem !== undefined) throw refuse(problem);
  });
}

async function note(
  queries: Queries,
  actor: Actor,
  id: string,
  now: number,
  kind: string,
  text: string,
): Promise<void> {
  await addEvent(queries, id, now, kind, text);
  await audit(queries, actor, `rollout-${kind}`, id, { text });
}
