/** Signing in and out, and the forms that change rollouts: only forms of the caller's own session count. */
import formbody from '@fastify/formbody';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { facts, html, verdictBanner } from 'kpatch/parts';
import { type Caller, mayAct, signIn, signOut } from '../access/accounts.ts';
import { Attempts } from '../access/attempts.ts';
import { callerOf, isOwnForm, sessionCookie, sessionOf } from '../access/caller.ts';
import { refusalOf } from '../api/handlers.ts';
import { rollBack, type Step, stepNames, stepRollout } from '../rollout/commands.ts';
import type { Rollouts } from '../rollout/rollouts.ts';
import type { Database } from '../store/database.ts';
import { framed } from './frame.ts';

export interface SessionOptions {
  readonly database: Database;
  readonly rollouts: Rollouts;
  /** The server has TLS itself, so that cookies are bound to it. */
  readonly secure: boolean;
  readonly strangersPerMinute: number;
}

function signInPage(problem: string, next: string): string {
  const body = html`<h1>Sign in</h1>${problem !== '' && verdictBanner('bad', 'Not signed in', html`<p>${problem}</p>`)}
<form class="filters" action="/sign-in" method="post"><input type="hidden" name="next" value="${next}">
<label>Account<input name="name" autocomplete="username" required maxlength="64"></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required maxlength="1000"></label><button type="submit">Sign in</button></form>
<p class="note">An administrator makes accounts with kpatch-fleet account set.</p>`;
  return framed({ title: 'Sign in', place: '', body });
}

/** Only a path of this server. */
function ownPath(text: unknown): string {
  return typeof text === 'string' && /^\/(?![/\\])[^\0-\x20\\]{0,500}$/.test(text) ? text : '/';
}

/** The caller; sends those who are nobody to the page where they sign in. */
export async function needCaller(
  database: Database,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Caller | undefined> {
  const caller = await callerOf(database, request);
  if (caller === undefined) reply.redirect(`/sign-in?next=${encodeURIComponent(ownPath(request.url))}`);
  return caller;
}

const send = (reply: FastifyReply, status: number, text: string): FastifyReply =>
  reply.status(status).type('text/html; charset=utf-8').send(text);

export function addSession(
  server: FastifyInstance,
  { database, rollouts, secure, strangersPerMinute }: SessionOptions,
): void {
  const attempts = new Attempts(strangersPerMinute);
  server.register(formbody, { bodyLimit: 16 << 10 });
  server.get('/sign-in', async ({ query }, reply) =>
    send(reply, 200, signInPage('', ownPath((query as Record<string, unknown>).next))),
  );
  server.post('/sign-in', async (request, reply) => {
    const { name, password, next } = (request.body ?? {}) as Record<string, unknown>;
    const account = typeof name === 'string' ? name.slice(0, 64) : '';
    if (!attempts.may(account, request.ip, Date.now()))
      return send(reply, 429, signInPage('Too many attempts. Wait some minutes.', ownPath(next)));
    const isText = typeof name === 'string' && typeof password === 'string' && !name.includes('\0');
    const secret = isText ? await signIn(database, name, password, request.ip) : undefined;
    if (secret === undefined) {
      attempts.failed(account, request.ip, Date.now());
      return send(reply, 401, signInPage('The account or the password is wrong.', ownPath(next)));
    }
    attempts.succeeded(account, request.ip);
    return reply.header('set-cookie', sessionCookie(secret, secure)).redirect(ownPath(next), 303);
  });
  server.get('/account', async (request, reply) => {
    const caller = await needCaller(database, request, reply);
    if (caller === undefined) return reply;
    const { who, role, form = '' } = caller;
    const button = html`<form class="filters" action="/sign-out" method="post"><input type="hidden" name="form" value="${form}"><button type="submit">Sign out</button></form>`;
    const body = html`<h1>Account</h1>${facts([
      ['Name', who],
      ['Role', role],
    ])}${button}`;
    return send(reply, 200, framed({ title: 'Account', place: '/account', body }));
  });
  server.post('/sign-out', async (request, reply) => {
    const caller = await callerOf(database, request);
    const secret = sessionOf(request);
    if (caller !== undefined && secret !== undefined && isOwnForm(caller, formOf(request)))
      await signOut(database, secret);
    return reply.header('set-cookie', sessionCookie('', secure)).redirect('/sign-in', 303);
  });
  server.post('/rollout/:id/:step', async (request, reply) => {
    const caller = await needCaller(database, request, reply);
    if (caller === undefined) return reply;
    const { id, step } = request.params as { id: string; step: string };
    const refused = await changed(caller, request, id, step);
    if (refused === undefined) return reply.redirect(`/rollout/${id}`, 303);
    const body = html`<h1>Not done</h1>${verdictBanner('bad', 'Nothing was changed', html`<p>${refused.error}</p>`)}<p><a href="/rollouts">Rollouts</a></p>`;
    return send(reply, refused.status, framed({ title: 'Not done', place: '/rollouts', body }));
  });

  /** Carries out a step; the reason and the status if it is refused. */
  async function changed(
    caller: Caller,
    request: FastifyRequest,
    id: string,
    step: string,
  ): Promise<{ status: number; error: string } | undefined> {
    if (!mayAct(caller.role, 'operator')) return { status: 403, error: 'This needs the role operator.' };
    if (!isOwnForm(caller, formOf(request)))
      return { status: 403, error: 'The request does not come from a page of this server.' };
    const { reason = '' } = (request.body ?? {}) as { reason?: unknown };
    const text = typeof reason === 'string' ? reason.replaceAll('\0', '').slice(0, 500) : '';
    const actor = { who: caller.who, address: request.ip };
    try {
      if (step === 'roll-back') await rollBack(database, actor, id, [], text);
      else if (stepNames.includes(step as Step)) await stepRollout(database, actor, id, step as Step, text);
      else return { status: 404, error: 'There is no such step.' };
      await (step === 'start' || step === 'resume' ? rollouts.look() : rollouts.refresh());
      return undefined;
    } catch (error) {
      const refused = refusalOf(error);
      if (refused === undefined) throw error;
      return refused;
    }
  }
}

function formOf(request: FastifyRequest): unknown {
  return ((request.body ?? {}) as Record<string, unknown>).form;
}
