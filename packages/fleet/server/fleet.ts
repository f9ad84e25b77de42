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
import { Watch } from './watch.ts';

export interface Fleet extends AsyncDisposable {
  readonly server: FastifyInstance;
  readonly hosts: Hosts;
  readonly ingest: Ingest;
  readonly rollouts: Rollouts;
}

/** Everything but listening. The database stays open when the fleet is closed. */
export async function openFleet(database: Database, config: FleetConfig, now?: () => number): Promise<Fleet> {
  const hosts = await Hosts.load(database);
  const { intervalSeconds, limits } = config;
  const metrics = new Metrics(hosts, 3 * intervalSeconds);
  const ingest = await Ingest.open(database, hosts, {
    intervalSeconds,
    reportsPerMinute: limits.reportsPerMinute,
    bytesPerDay: limits.bytesPerDay,
    onVerdict: (verdict) => metrics.note(verdict),
    ...(now === undefined ? {} : { now }),
  });
  const rollouts = await Rollouts.open(database, () => hosts.all(), now === undefined ? {} : { now });
  // Who gives a clock looks by that clock.
  const watch = now === undefined ? new Watch(() => rollouts.look()) : undefined;
  ingest.onNews = () => watch?.soon();
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
  addApi(server, { database, hosts, rollouts, intervalSeconds }, limits.strangersPerMinute);
  const close = async (): Promise<void> => {
    await watch?.stop();
    await server.close();
    await ingest.close();
  };
  return { server, hosts, ingest, rollouts, [Symbol.asyncDispose]: close };
}
