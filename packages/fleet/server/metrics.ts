/** Metrics for Prometheus at /metrics, for whoever has an API token or reaches the server from itself. */
import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { callerOf } from '../access/caller.ts';
import type { Hosts } from '../ingest/hosts.ts';
import type { Database } from '../store/database.ts';

export class Metrics {
  readonly registry = new Registry();
  readonly #reports = new Counter({
    name: 'kpatch_fleet_reports_total',
    help: 'Reports by what the server decided about them.',
    labelNames: ['verdict'],
    registers: [this.registry],
  });
  readonly #seconds = new Histogram({
    name: 'kpatch_fleet_request_seconds',
    help: 'Time to answer a request, by route.',
    labelNames: ['route'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    registers: [this.registry],
  });

  constructor(hosts: Hosts, silentSeconds: number) {
    collectDefaultMetrics({ register: this.registry });
    new Gauge({
      name: 'kpatch_fleet_hosts',
      help: 'Hosts that belong to the fleet.',
      registers: [this.registry],
      collect() {
        this.set(hosts.size);
      },
    });
    new Gauge({
      name: 'kpatch_fleet_hosts_silent',
      help: 'Hosts that were not heard of for three intervals.',
      registers: [this.registry],
      collect() {
        const since = Date.now() - silentSeconds * 1000;
        let silent = 0;
        for (const { seen } of hosts.all()) if (seen < since) silent++;
        this.set(silent);
      },
    });
    new Gauge({
      name: 'kpatch_fleet_hosts_standing',
      help: 'Hosts that are a copy of another one, or an earlier state of themselves.',
      labelNames: ['standing'],
      registers: [this.registry],
      collect() {
        const counts = { restored: 0, cloned: 0 };
        for (const { standing } of hosts.all()) if (standing !== 'normal') counts[standing]++;
        for (const [standing, value] of Object.entries(counts)) this.set({ standing }, value);
      },
    });
  }

  note(verdict: string): void {
    this.#reports.inc({ verdict });
  }

  addTo(server: FastifyInstance, database: Database): void {
    server.addHook('onResponse', async (request, reply) => {
      this.#seconds.observe({ route: request.routeOptions.url ?? 'none' }, reply.elapsedTime / 1000);
    });
    server.get('/metrics', async (request, reply) => {
      // A proxy on the same machine also comes from here, but not for itself.
      const { forwarded, 'x-forwarded-for': addresses } = request.headers;
      const isDirect = forwarded === undefined && addresses === undefined;
      const local = isDirect && (request.ip === '127.0.0.1' || request.ip === '::1');
      if (!local && (await callerOf(database, request)) === undefined)
        return reply.status(401).send({ error: 'send an API token' });
      return reply.type(this.registry.contentType).send(await this.registry.metrics());
    });
  }
}
