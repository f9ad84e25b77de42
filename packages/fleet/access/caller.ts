/** Who sends a request: a person with a session, or a program with an API token. */
import type { FastifyRequest } from 'fastify';
import type { Database } from '../store/database.ts';
import { type Caller, callerOfSession, callerOfToken } from './accounts.ts';

/** The cookie of a session. Browsers keep a `__Host-` cookie to this server and to TLS; without TLS it has another name. */
export const cookieName = (secure: boolean): string => (secure ? '__Host-kpatch-fleet' : 'kpatch-fleet');

/** The secret of the session in a request; undefined if it has none. */
export function sessionOf(request: FastifyRequest): string | undefined {
  // With TLS only the `__Host-` cookie counts: other sites of the domain could set the other one.
  const name = cookieName((request.raw.socket as { encrypted?: boolean }).encrypted === true);
  const header = request.headers.cookie ?? '';
  const found = header
    .split(/;\s*/)
    .map((pair) =>
      pair.startsWith(`${name}=`) ? /^kps_[\w-]{20,60}$/.exec(pair.slice(name.length + 1))?.[0] : undefined,
    )
    .find((one) => one !== undefined);
  return found;
}

/** The value of Set-Cookie that begins a session, or ends it with an empty secret. */
export function sessionCookie(secret: string, secure: boolean): string {
  const parts = [`${cookieName(secure)}=${secret}`, 'Path=/', 'HttpOnly', 'SameSite=Strict'];
  if (secure) parts.push('Secure');
  if (secret === '') parts.push('Max-Age=0');
  return parts.join('; ');
}

/** The caller; undefined if the request shows no valid session and no valid token. */
export async function callerOf(database: Database, request: FastifyRequest): Promise<Caller | undefined> {
  const bearer = /^Bearer (kpa_[\w-]{20,60})$/.exec(request.headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return await callerOfToken(database, bearer);
  const session = sessionOf(request);
  return session === undefined ? undefined : await callerOfSession(database, session);
}

/** True if a request that changes something comes from a form of the session itself, not from another site. */
export function isOwnForm({ form }: Caller, given: unknown): boolean {
  return form === undefined || given === form;
}
