/** Hosts join and leave. */
import { type FleetReport, hostIdOf, joinText, publicKeyFrom, verifyWith } from 'kpatch/fleet';
import { audit } from '../access/audit.ts';
import { hashSecret } from '../access/secret.ts';
import type { Database } from '../store/database.ts';

export interface JoinRequest {
  readonly token: string;
  /** The 32 bytes of the public key, in base64. */
  readonly key: string;
  readonly machine: string;
  readonly name: string;
  readonly signature: string;
}

export type JoinResult =
  | { readonly host: FleetReport['host']; readonly labels: string[] }
  | { readonly refused: string };

/** A machine joins with a token, and shows that it has the key. */
export async function joinHost(database: Database, request: JoinRequest, address: string): Promise<JoinResult> {
  const key = Buffer.from(request.key, 'base64');
  const signature = Buffer.from(request.signature, 'base64');
  if (key.length !== 32 || !isSigned(key, joinText(request.token), signature))
    return { refused: 'the signature does not match the key' };
  const host = hostIdOf(key);
  return await database.transaction(async (queries): Promise<JoinResult> => {
    const [token] = await queries.query<{ id: number; labels: string[] }>(
      `update fleet.token set used = used + 1
       where hash = $1 and used < uses and revoked is null and expires > now() returning id, labels`,
      [hashSecret(request.token)],
    );
    if (token === undefined) return { refused: 'the token is unknown, used up, expired or revoked' };
    const [present] = await queries.query('select 1 from fleet.host where id = $1', [host]);
    if (present !== undefined) throw new Error('the key is known');
    await queries.query(
      'insert into fleet.host (id, name, machine, key, labels, token, enrolled) values ($1, $2, $3, $4, $5, $6, now())',
      [host, request.name, request.machine, key, token.labels, token.id],
    );
    await queries.query('insert into fleet.checkin (host, seen, machine) values ($1, now(), $2)', [
      host,
      request.machine,
    ]);
    await audit(queries, { who: `host ${host}`, address }, 'host.join', host, { name: request.name, token: token.id });
    return { host, labels: token.labels };
  });
}

function isSigned(key: Uint8Array, text: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verifyWith(publicKeyFrom(key), text, signature);
  } catch {
    return false;
  }
}

/** How old the request to leave may be (milliseconds), so that it cannot be repeated later. */
const LEAVE_MS = 600_000;

export interface LeaveRequest {
  readonly host: string;
  readonly at: string;
  readonly signature: string;
}

/** A machine leaves. True if it is gone now. */
export async function leaveHost(
  database: Database,
  request: LeaveRequest,
  address: string,
  now = Date.now(),
): Promise<boolean> {
  const { host, at, signature } = request;
  if (!(Math.abs(Date.parse(at) - now) <= LEAVE_MS)) return false;
  return await database.transaction(async (queries) => {
    const [row] = await queries.query<{ key: Uint8Array }>(
      'select key from fleet.host where id = $1 and "left" is null',
      [host],
    );
    if (row === undefined) return false;
    if (!isSigned(row.key, Buffer.from(`kpatch-fleet-leave ${host} ${at}`), Buffer.from(signature, 'base64')))
      return false;
    await queries.query('update fleet.host set "left" = now() where id = $1', [host]);
    await audit(queries, { who: `host ${host}`, address }, 'host.leave', host);
    return true;
  });
}
