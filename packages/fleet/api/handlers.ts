/** What the routes of the API do. */
import { KpatchError } from 'kpatch/parts';
import {
  type Caller,
  createApiToken,
  disableAccount,
  listAccounts,
  mayAct,
  revokeApiToken,
  setAccount,
} from '../access/accounts.ts';
import { type Actor, audit } from '../access/audit.ts';
import { checkedLabels, createToken, listTokens, revokeToken } from '../access/tokens.ts';
import type { Hosts } from '../ingest/hosts.ts';
import { freeze, planned, rollBack, stepRollout, unfreeze } from '../rollout/commands.ts';
import type { Rollouts } from '../rollout/rollouts.ts';
import { readRollouts } from '../rollout/store.ts';
import type { Database } from '../store/database.ts';
import { addRelease } from '../store/import.ts';
import { exposures, findHosts, groups, hostDetail } from '../store/view.ts';
import type { Answer, Received, RouteName } from './routes.ts';

export interface ApiContext {
  readonly database: Database;
  readonly hosts: Hosts;
  readonly rollouts: Rollouts;
  readonly intervalSeconds: number;
}

/** Why a request is refused, with its status. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Handlers = {
  readonly [N in RouteName]: (
    received: Received<N>,
    context: ApiContext,
    caller: Caller,
    actor: Actor,
  ) => Promise<Answer<N>>;
};

const iso = (date: Date | null): string | null => date?.toISOString() ?? null;
const missing = (what: string): Refusal => new Refusal(404, `there is no such ${what}`);

async function done(result: Promise<boolean>, what: string): Promise<Record<string, never>> {
  if (!(await result)) throw missing(what);
  return {};
}

export const handlers: Handlers = {
  'GET /api/groups': async (_, { database, intervalSeconds }) => ({
    groups: await groups(database, 3 * intervalSeconds),
  }),
  'GET /api/hosts': async ({ query }, { database }) => {
    const { limit = 100, ...filter } = query;
    const hosts = await findHosts(database, { ...filter, limit });
    return { hosts, next: hosts.length === limit ? hosts.at(-1)!.id : null } as Answer<'GET /api/hosts'>;
  },
  'GET /api/hosts/:host': async ({ params }, { database }) => {
    const found = await hostDetail(database, params.host);
    if (found === undefined) throw missing('host');
    return found as Answer<'GET /api/hosts/:host'>;
  },
  'PUT /api/hosts/:host/labels': async ({ params, body }, { database, hosts }, _, actor) => {
    const labels = checkedLabels(body.labels);
    await database.transaction(async (queries) => {
      const rows = await queries.query(
        'update fleet.host set labels = $2 where id = $1 and "left" is null returning id',
        [params.host, labels],
      );
      if (rows.length === 0) throw missing('host');
      await audit(queries, actor, 'host.labels', params.host, { labels });
    });
    hosts.markStale([params.host]);
    return { labels };
  },
  'DELETE /api/hosts/:host': async ({ params }, { database, hosts }, _, actor) => {
    await database.transaction(async (queries) => {
      const rows = await queries.query(
        'update fleet.host set "left" = now() where id = $1 and "left" is null returning id',
        [params.host],
      );
      if (rows.length === 0) throw missing('host');
      await audit(queries, actor, 'host.remove', params.host);
    });
    await hosts.refresh(params.host);
    return {};
  },
  'GET /api/cves': async (_, { database }) => ({ cves: await exposures(database) }),
  'GET /api/cves/:cve': async ({ params }, { database }) => {
    const [found] = await exposures(database, params.cve);
    if (found === undefined) throw missing('CVE that is open on a kernel of the fleet');
    return found;
  },
  'GET /api/tokens': async (_, { database }) => ({
    tokens: (await listTokens(database)).map(({ id, expires, revoked, labels, ...rest }) => {
      return { ...rest, id: Number(id), labels: [...labels], expires: expires.toISOString(), revoked: iso(revoked) };
    }),
  }),
  'POST /api/tokens': async ({ body }, { database }, _, actor) => await createToken(database, actor, body),
  'DELETE /api/tokens/:id': ({ params }, { database }, _, actor) =>
    done(revokeToken(database, actor, params.id), 'token'),
  'GET /api/accounts': async (_, { database }) => ({
    accounts: (await listAccounts(database)).map(({ disabled, ...rest }) => ({ ...rest, disabled: iso(disabled) })),
  }),
  'PUT /api/accounts/:name': async ({ params, body }, { database }, _, actor) => {
    await setAccount(database, actor, params.name, body.role, body.password);
    return {};
  },
  'DELETE /api/accounts/:name': ({ params }, { database }, _, actor) =>
    done(disableAccount(database, actor, params.name), 'account'),
  'POST /api/api-tokens': async ({ body }, { database }, caller, actor) => {
    if (!mayAct(caller.role, body.role)) throw new Refusal(403, 'a token cannot have more rights than its maker');
    return await createApiToken(database, actor, body, caller.token);
  },
  'DELETE /api/api-tokens/:id': ({ params }, { database }, _, actor) =>
    done(revokeApiToken(database, actor, params.id), 'API token'),
  'GET /api/rollouts': async (_, { database }) =>
    ({ rollouts: await readRollouts(database) }) as unknown as Answer<'GET /api/rollouts'>,
  'GET /api/rollouts/:id': async ({ params }, { database }) => {
    const [found] = await readRollouts(database, params.id);
    if (found === undefined) throw missing('rollout');
    return found as unknown as Answer<'GET /api/rollouts/:id'>;
  },
  'POST /api/rollouts': async ({ body }, { database }, _, actor) => {
    const { plan, ...rest } = body;
    const id = await planned(database, actor, { ...rest, plan: plan === undefined ? undefined : JSON.stringify(plan) });
    return { id };
  },
  'POST /api/rollouts/:id/:step': async ({ params: { id, step }, body }, { database, rollouts }, _, actor) => {
    if (step === 'roll-back') await rollBack(database, actor, id, body.rings, body.reason);
    else await stepRollout(database, actor, id, step, body.reason);
    // The first ring opens now, not at the next look.
    await (step === 'start' || step === 'resume' ? rollouts.look() : rollouts.refresh());
    const [found] = await readRollouts(database, id);
    return found as unknown as Answer<'GET /api/rollouts/:id'>;
  },
  'POST /api/freeze': async ({ body: { reason, hours, group } }, { database, rollouts }, _, actor) => {
    const now = Date.now();
    await freeze(database, actor, reason, hours === undefined ? undefined : now + hours * 3_600_000, now, group);
    await rollouts.refresh();
    return {};
  },
  'DELETE /api/freeze': async ({ query }, { database, rollouts }, _caller, actor) => {
    await unfreeze(database, actor, query.group);
    await rollouts.refresh();
    return {};
  },
  'POST /api/releases': async ({ body: { channel, ...release } }, { database }, _, actor) => {
    await addRelease(database, actor, release, channel);
    return {};
  },
  'GET /api/audit': async ({ query }, { database }) => {
    const rows = await database.query(
      `select id, at, who, action, subject, detail, address from fleet.audit where $1::bigint is null or id < $1 order by id desc limit $2`,
      [query.before ?? null, Math.min(query.limit ?? 100, 1000)],
    );
    return {
      entries: rows.map((row) => ({ ...row, id: Number(row.id), at: (row.at as Date).toISOString() })),
    } as Answer<'GET /api/audit'>;
  },
};

/** An error of the catalogue that the caller caused, as a refusal. */
export function refusalOf(error: unknown): { status: number; error: string } | undefined {
  if (error instanceof Refusal) return { status: error.status, error: error.message };
  if (error instanceof KpatchError && error.code === 'fleet-no-rollout') return { status: 404, error: error.message };
  if (error instanceof KpatchError && error.code === 'fleet-rollout') return { status: 409, error: error.message };
  if (error instanceof KpatchError && error.exit === 2) return { status: 400, error: error.message };
  return undefined;
}
