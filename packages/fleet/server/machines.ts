/** The routes for machines: join, report, leave. They are not for people, and need no account. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { formProblem } from 'kpatch/fleet';
import type { Hosts } from '../ingest/hosts.ts';
import type { Ingest } from '../ingest/ingest.ts';
import { type JoinRequest, joinHost, type LeaveRequest, leaveHost } from '../ingest/join.ts';
import { networkOf, RateLimit } from '../ingest/limit.ts';
import type { Database } from '../store/database.ts';

export interface MachineRoutes {
  readonly database: Database;
  readonly hosts: Hosts;
  readonly ingest: Ingest;
  readonly intervalSeconds: number;
  /** Requests without a valid signature that one address may send in a minute. */
  readonly strangersPerMinute: number;
}

export function addMachineRoutes(server: FastifyInstance, options: MachineRoutes): void {
  const { database, hosts, ingest, intervalSeconds } = options;
  const strangers = new RateLimit(options.strangersPerMinute);
  const isStranger = ({ ip }: FastifyRequest): boolean => !strangers.take(networkOf(ip), Date.now());

  server.post('/v1/report', async (request, reply) => {
    const { status, body } = await ingest.take(request.body);
    // Guessing costs the server a signature check, so it is limited by address.
    const guess = status === 400 || status === 401 || status === 403;
    if (guess && isStranger(request)) return reply.status(429).send({ error: 'too many requests: wait a minute' });
    return reply.status(status).send(body);
  });

  server.post('/v1/join', async (request, reply) => {
    if (isStranger(request)) return reply.status(429).send({ error: 'too many requests: wait a minute' });
    const problem = formProblem('kpatch.fleet-join-request/1', request.body);
    if (problem !== undefined) return reply.status(400).send({ error: problem });
    const result = await joinHost(database, request.body as JoinRequest, request.ip).catch(() => undefined);
    if (result === undefined) return reply.status(409).send({ error: 'the machine could not join' });
    if ('refused' in result) return reply.status(403).send({ error: result.refused });
    await hosts.refresh(result.host);
    return { schema: 'kpatch.fleet-joined/1', ...result, intervalSeconds };
  });

  server.post('/v1/leave', async (request, reply) => {
    if (isStranger(request)) return reply.status(429).send({ error: 'too many requests: wait a minute' });
    const { host, at, signature } = (request.body ?? {}) as Partial<Record<keyof LeaveRequest, unknown>>;
    if (typeof host !== 'string' || typeof at !== 'string' || typeof signature !== 'string')
      return reply.status(400).send({ error: 'it is not a request to leave' });
    if (!(await leaveHost(database, { host, at, signature }, request.ip)))
      return reply.status(403).send({ error: 'the machine is unknown, or the signature does not match' });
    await hosts.refresh(host);
    return { left: true };
  });
}
