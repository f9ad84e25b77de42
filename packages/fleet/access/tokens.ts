/** Tokens with which hosts join. */
import { failure } from 'kpatch/parts';
import type { Database } from '../store/database.ts';
import { type Actor, audit } from './audit.ts';
import { hashSecret, newSecret } from './secret.ts';

export interface TokenFacts {
  readonly id: number;
  readonly note: string;
  readonly labels: readonly string[];
  readonly uses: number;
  readonly used: number;
  readonly expires: Date;
  readonly revoked: Date | null;
}

const labelForm = /^[A-Za-z0-9][\w.:=/-]{0,63}$/;

/** Labels in their order, each once. Error: `usage`. */
export function checkedLabels(labels: readonly string[]): string[] {
  const wrong = labels.find((label) => !labelForm.test(label));
  if (wrong !== undefined)
    throw failure('usage', {
      problem: `${JSON.stringify(wrong)} is not a label: use up to 64 letters, digits and _.:=/-`,
    });
  if (labels.length > 64) throw failure('usage', { problem: 'a host has at most 64 labels' });
  return [...new Set(labels)].sort();
}

/** Makes a token; the result is shown once and not stored. Error: `usage`. */
export async function createToken(
  database: Database,
  actor: Actor,
  { note, labels, uses, hours }: { note: string; labels: readonly string[]; uses: number; hours: number },
): Promise<{ id: number; token: string }> {
  const token = newSecret('kpf');
  const named = checkedLabels(labels);
  return await database.transaction(async (queries) => {
    const [row] = await queries.query<{ id: number }>(
      `insert into fleet.token (hash, note, labels, uses, created_by, expires)
       values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6)) returning id`,
      [hashSecret(token), note, named, uses, actor.who, hours * 3600],
    );
    const id = Number(row!.id);
    await audit(queries, actor, 'token.create', String(id), { note, labels: named, uses, hours });
    return { id, token };
  });
}

/** Makes a token useless; hosts that joined with it stay. False if there is none, or it is revoked already. */
export async function revokeToken(database: Database, actor: Actor, id: number): Promise<boolean> {
  return await database.transaction(async (queries) => {
    const rows = await queries.query(
      'update fleet.token set revoked = now() where id = $1 and revoked is null returning id',
      [id],
    );
    if (rows.length > 0) await audit(queries, actor, 'token.revoke', String(id));
    return rows.length > 0;
  });
}

/** All tokens, newest first, without their secrets. */
export async function listTokens(database: Database): Promise<TokenFacts[]> {
  return await database.query<TokenFacts & Record<string, unknown>>(
    'select id, note, labels, uses, used, expires, revoked from fleet.token order by id desc limit 1000',
  );
}
