/** Serves the API: checks who calls and what is given, calls the handler, says what was wrong. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as v from 'valibot';
import { type Caller, mayAct } from '../access/accounts.ts';
import type { Actor } from '../access/audit.ts';
import { callerOf, isOwnForm } from '../access/caller.ts';
import { type ApiContext, handlers, Refusal, refusalOf } from '../api/handlers.ts';
import { openApi } from '../api/openapi.ts';
import { type Received, type Route, type RouteName, routes } from '../api/routes.ts';
import { networkOf, RateLimit } from '../ingest/limit.ts';

export function addApi(server: FastifyInstance, context: ApiContext, strangersPerMinute: number): void {
  const description = openApi();
  const strangers = new RateLimit(strangersPerMinute);
  server.get('/api/openapi.json', async () => description);
  for (const name of Object.keys(routes) as RouteName[]) {
    const [method = '', url = ''] = name.split(' ');
    server.route({
      method: method as 'GET',
      url,
      handler: (request, reply) => answer(name, context, strangers, request, reply),
    });
  }
}

async function answer(
  name: RouteName,
  context: ApiContext,
  strangers: RateLimit,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  try {
    const caller = await callerOf(context.database, request);
    if (caller === undefined) {
      if (!strangers.take(networkOf(request.ip), Date.now()))
        throw new Refusal(429, 'too many requests: wait a minute');
      throw new Refusal(401, 'sign in, or send an API token');
    }
    const route: Route = routes[name];
    if (!mayAct(caller.role, route.role)) throw new Refusal(403, `this needs the role ${route.role}`);
    if (!name.startsWith('GET ') && !isOwnForm(caller, request.headers['x-kpatch-form']))
      throw new Refusal(403, 'the request does not come from a page of this server');
    const received = {
      params: read(route.params, request.params, 'the address'),
      query: read(route.query, request.query, 'the query'),
      body: read(route.body, request.body, 'the body'),
    };
    return await call(name, received as Received<RouteName>, context, caller, { who: caller.who, address: request.ip });
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return reply.status(refusal.status).send({ error: refusal.error });
  }
}

function read(schema: v.GenericSchema | undefined, value: unknown, what: string): unknown {
  if (schema === undefined) return undefined;
  const result = v.safeParse(schema, value ?? {}, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Refusal(400, `${what}: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}`);
}

/** The table of handlers fits the table of routes; here the two are joined by a name that is not known before. */
function call(
  name: RouteName,
  received: Received<RouteName>,
  context: ApiContext,
  caller: Caller,
  actor: Actor,
): Promise<unknown> {
  const handler = handlers[name] as (
    received: Received<RouteName>,
    context: ApiContext,
    caller: Caller,
    actor: Actor,
  ) => Promise<unknown>;
  return handler(received, context, caller, actor);
}
