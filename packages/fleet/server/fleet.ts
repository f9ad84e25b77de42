/** A whole fleet server: database, hosts, reports and routes. */
import type { FastifyInstance } from 'fastify';
import type { FleetConfig } from '../config.ts';
import { Hosts } from '../ingest/hosts.ts';
import { Ingest } from '../ingest/ingest.ts';
import { addPages } from '../pages/routes.ts';
import { addSession, needCaller } from '../pages/session.ts';
import { Rollouts } from '../rollout/rollouts.ts';
import type { Database } from '../store/database.ts';
import { addApi } from './api.ts';
import { addMachineRoutes } from './machines.ts';
import { Metrics } from './metrics.ts';
import { makeServer } from './server.ts';

export interface Fleet extends AsyncDisposable {
  readonly server: FastifyInstance;
  readonly hosts: Hosts;
  readonly ingest: Ingest;
  readonly rollouts: Rollouts;
}

/** How often rollouts are looked at (milliseconds). */
const LOOK_MS = 60_000;

/** Everything but listening. The database stays open when the fleet is closed. */
export async function openFleet(database: Database, config: FleetConfig, now?: () => number): Promise<Fleet> {
  const hosts = await Hosts.load(database);
  const { intervalSeconds, limits } = config;
  const metrics = new Metrics(hosts, 3 * intervalSeconds);
  const ingest = await Ingest.open(database, hosts, {
    intervalSeconds,
    reportsPerMinute: limits.reportsPerMinute,
    onVerdict: (verdict) => metrics.note(verdict),
    ...(now === undefined ? {} : { now }),
  });
  const rollouts = await Rollouts.open(database, () => hosts.all(), now === undefined ? {} : { now });
  ingest.decider = {
    choicesFor: (host) => rollouts.choicesFor(host),
    labelFor: (host) => rollouts.labelFor(host),
  };
  const server = makeServer(config);
  metrics.addTo(server, database);
  addMachineRoutes(server, { database, hosts, ingest, intervalSeconds, strangersPerMinute: limits.strangersPerMinute });
  const secure = config.tls !== undefined;
  addSession(server, { database, rollouts, secure, strangersPerMinute: limits.strangersPerMinute });
  addPages(server, {
    database,
    hosts,
    rollouts,
    intervalSeconds,
    callerFor: (request, reply) => needCaller(database, request, reply),
  });
  let looking: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    // A database that cannot be reached is tried again at the next look.
    looking = looking.then(() => rollouts.look()).catch(() => {});
  }, LOOK_MS);
  addApi(server, { database, hosts, rollouts, intervalSeconds }, limits.strangersPerMinute);
  const close = async (): Promise<void> => {
    clearInterval(timer);
    await looking;
    await server.close();
    await ingest.close();
  };
  return { server, hosts, ingest, rollouts, [Symbol.asyncDispose]: close };
}
