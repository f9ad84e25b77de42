/** Local accounts with roles, their sessions, and API tokens. */
import { failure } from 'kpatch/parts';
import type { Database, Queries } from '../store/database.ts';
import { type Actor, audit } from './audit.ts';
import { hashPassword, hashSecret, isPassword, newSecret } from './secret.ts';

/** A viewer reads; an operator also starts and stops rollouts and makes tokens; an admin also manages accounts. */
export const roles = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

export const mayAct = (role: Role, needed: Role): boolean => roles.indexOf(role) >= roles.indexOf(needed);

/** Who is asking, by session or API token. */
export interface Caller {
  readonly who: string;
  readonly role: Role;
  /** The secret that forms of this session must repeat; undefined for an API token, which browsers do not send by themselves. */
  readonly form: string | undefined;
  /** The id of the API token; undefined for a session. */
  readonly token: number | undefined;
}

const SESSION_HOURS = 12;
const SHORTEST_PASSWORD = 12;

function checkAccount(name: string, role: string): asserts role is Role {
  if (!/^[a-z][a-z0-9._-]{0,31}$/.test(name))
    throw failure('usage', {
      problem: 'the name of an account has up to 32 lower-case letters, digits, ".", "_" and "-"',
    });
  if (!roles.includes(role as Role)) throw failure('usage', { problem: `a role is one of ${roles.join(', ')}` });
}

/** Makes an account, or changes its password and role. Its sessions end, and its API tokens that may do more than it. Error: `usage`. */
export async function setAccount(
  database: Database,
  actor: Actor,
  name: string,
  role: string,
  password: string,
): Promise<void> {
  checkAccount(name, role);
  if (password.length < SHORTEST_PASSWORD || password.length > 1000)
    throw failure('usage', { problem: `a password has at least ${SHORTEST_PASSWORD} characters` });
  const hash = await hashPassword(password);
  await database.transaction(async (queries) => {
    await queries.query(
      `insert into fleet.account (name, password, role) values ($1, $2, $3)
       on conflict (name) do update set password = excluded.password, role = excluded.role, disabled = null`,
      [name, hash, role],
    );
    await queries.query('delete from fleet.session where account = $1', [name]);
    await endTokens(queries, 'created_by = $1 and not role = any($2)', [
      name,
      roles.filter((one) => mayAct(role, one)),
    ]);
    await audit(queries, actor, 'account.set', name, { role });
  });
}

/** Disables an account and ends its sessions; its API tokens end too. False if there is none. */
export async function disableAccount(database: Database, actor: Actor, name: string): Promise<boolean> {
  return await database.transaction(async (queries) => {
    const rows = await queries.query(
      'update fleet.account set disabled = now() where name = $1 and disabled is null returning name',
      [name],
    );
    if (rows.length === 0) return false;
    await queries.query('delete from fleet.session where account = $1', [name]);
    await endTokens(queries, 'created_by = $1', [name]);
    await audit(queries, actor, 'account.disable', name);
    return true;
  });
}

export async function listAccounts(database: Database): Promise<{ name: string; role: Role; disabled: Date | null }[]> {
  return await database.query('select name, role, disabled from fleet.account order by name');
}

/** Begins a session; undefined if name or password is wrong. Both cases take the same time and say the same. */
export async function signIn(
  database: Database,
  name: string,
  password: string,
  address: string,
): Promise<string | undefined> {
  const [row] = await database.query<{ password: string }>(
    'select password from fleet.account where name = $1 and disabled is null',
    [name],
  );
  const right = await isPassword(password.slice(0, 1000), row?.password ?? absent);
  const actor = { who: name.slice(0, 64), address };
  if (!right || row === undefined) {
    await audit(database, actor, 'session.refuse', name.slice(0, 64));
    return undefined;
  }
  const secret = newSecret('kps');
  await database.transaction(async (queries) => {
    await queries.query(
      'insert into fleet.session (hash, account, form, expires) values ($1, $2, $3, now() + make_interval(hours => $4))',
      [hashSecret(secret), name, newSecret('kpc'), SESSION_HOURS],
    );
    await audit(queries, actor, 'session.begin', name);
  });
  return secret;
}

/** What no password hashes to, compared so that an unknown name takes as long as a known one. */
const absent = `scrypt$32768$8$1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** Who has this session; undefined if it has ended. */
export async function callerOfSession(queries: Queries, secret: string): Promise<Caller | undefined> {
  const [row] = await queries.query<{ name: string; role: Role; form: string }>(
    `select a.name, a.role, s.form from fleet.session s join fleet.account a on a.name = s.account
     where s.hash = $1 and s.expires > now() and a.disabled is null`,
    [hashSecret(secret)],
  );
  return row === undefined ? undefined : { who: row.name, role: row.role, form: row.form, token: undefined };
}

export async function signOut(queries: Queries, secret: string): Promise<void> {
  await queries.query('delete from fleet.session where hash = $1', [hashSecret(secret)]);
}

/**
 * Makes an API token; it is shown once and not stored. The caller checks that its role is at most that of its maker. One made with another
 * token (`maker`) does not outlive that. Error: `usage`.
 */
export async function createApiToken(
  database: Database,
  actor: Actor,
  { name, role, days }: { name: string; role: string; days: number },
  maker?: number,
): Promise<{ id: number; token: string }> {
  if (!roles.includes(role as Role)) throw failure('usage', { problem: `a role is one of ${roles.join(', ')}` });
  const token = newSecret('kpa');
  return await database.transaction(async (queries) => {
    const [made] =
      maker === undefined
        ? [{ expires: null }]
        : await queries.query<{ expires: Date }>(
            'select expires from fleet.api_token where id = $1 and revoked is null for share',
            [maker],
          );
    if (made === undefined) throw failure('usage', { problem: 'the API token of the caller has ended' });
    const [row] = await queries.query<{ id: number }>(
      `insert into fleet.api_token (hash, name, role, created_by, expires) values ($1, $2, $3, $4, least(now() + make_interval(days => $5), $6::timestamptz)) returning id`,
      [hashSecret(token), name.slice(0, 200), role, actor.who, days, made.expires],
    );
    await audit(queries, actor, 'api-token.create', String(row!.id), { name, role, days });
    return { id: Number(row!.id), token };
  });
}

/** The name of a token where it acts; `endTokens` reads its first part. */
const tokenName = (id: number, name: string): string => `token ${id} (${name})`;

/**
 * Revokes tokens and all that were made with them: whoever stole one may have made another. Each turn sees what was made before its
 * parent was locked. Returns the ids.
 */
async function endTokens(queries: Queries, where: string, values: readonly unknown[]): Promise<number[]> {
  const end = async (which: string, given: readonly unknown[]): Promise<number[]> => {
    const rows = await queries.query<{ id: number }>(
      `update fleet.api_token set revoked = now() where ${which} and revoked is null returning id`,
      [...given],
    );
    return rows.map(({ id }) => Number(id));
  };
  const all: number[] = [];
  for (let ended = await end(where, values); ended.length > 0; ) {
    all.push(...ended);
    ended = await end("split_part(created_by, ' (', 1) = any($1)", [ended.map((id) => `token ${id}`)]);
  }
  return all;
}

/** False if there is none, or it is revoked already. Tokens made with it end too. */
export async function revokeApiToken(database: Database, actor: Actor, id: number): Promise<boolean> {
  return await database.transaction(async (queries) => {
    const ended = await endTokens(queries, 'id = $1', [id]);
    if (ended.length > 0) await audit(queries, actor, 'api-token.revoke', String(id), { ended });
    return ended.length > 0;
  });
}

/** Who has this API token; undefined if it is unknown, expired or revoked. */
export async function callerOfToken(queries: Queries, token: string): Promise<Caller | undefined> {
  const [row] = await queries.query<{ id: number; name: string; role: Role }>(
    `update fleet.api_token set used = now() where hash = $1 and revoked is null and expires > now() returning id, name, role`,
    [hashSecret(token)],
  );
  return row === undefined
    ? undefined
    : { who: tokenName(row.id, row.name), role: row.role, form: undefined, token: Number(row.id) };
}
