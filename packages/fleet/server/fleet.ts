/** A whole fleet server: database, hosts, reports and routes. */
import type { FastifyInstance } from 'fastify';
import type { FleetConfig } from '../config.ts';
import { Hosts } from '../ingest/hosts.ts';
import { Ingest } from '../ingest/ingest.ts';
import type { Database } from '../store/database.ts';
import { addMachineRoutes } from './machines.ts';
import { makeServer } from './server.ts';

export interface Fleet extends AsyncDisposable {
  readonly server: FastifyInstance;
  readonly hosts: Hosts;
  readonly ingest: Ingest;
}

/** Everything but listening. The database stays open when the fleet is closed. */
export async function openFleet(database: Database, config: FleetConfig, now?: () => number): Promise<Fleet> {
  const hosts = await Hosts.load(database);
  const { intervalSeconds, limits } = config;
  const ingest = await Ingest.open(database, hosts, {
    intervalSeconds,
    reportsPerMinute: limits.reportsPerMinute,
    ...(now === undefined ? {} : { now }),
  });
  const server = makeServer(config);
  addMachineRoutes(server, { database, hosts, ingest, intervalSeconds, strangersPerMinute: limits.strangersPerMinute });
  const close = async (): Promise<void> => {
    await server.close();
    await ingest.close();
  };
  return { server, hosts, ingest, [Symbol.asyncDispose]: close };
}
