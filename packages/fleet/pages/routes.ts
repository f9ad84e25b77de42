/** Serves the pages. Counts over the whole fleet are read at most every few seconds, however many people look. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, mayAct } from '../access/accounts.ts';
import type { Hosts } from '../ingest/hosts.ts';
import type { Rollouts } from '../rollout/rollouts.ts';
import { readRollouts } from '../rollout/store.ts';
import type { Database } from '../store/database.ts';
import { exposures, findHosts, hostDetail } from '../store/view.ts';
import { cvePage } from './cve.ts';
import { missingPage } from './frame.ts';
import { type HostFilter, type HostPage, hostPage, hostsPage } from './host.ts';
import { cvesPage, overviewPage } from './overview.ts';
import { readCve, readRecentRollouts, readReleases, readRolloutPage, readRunning } from './read.ts';
import { rolloutPage, rolloutsPage } from './rollout.ts';

export interface PageOptions {
  readonly database: Database;
  readonly hosts: Hosts;
  readonly rollouts: Rollouts;
  readonly intervalSeconds: number;
  /** Who asks; undefined if the answer has been sent already, because it is nobody. */
  readonly callerFor: (request: FastifyRequest, reply: FastifyReply) => Promise<Caller | undefined>;
}

/** How long counts over the whole fleet are shown (milliseconds). */
const FRESH_MS = 5000;
/** Hosts of one page. */
const PAGE = 100;

/** Keeps an answer for a while; those who ask meanwhile wait for the same one. */
function kept<T>(read: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly answer: Promise<T> } | undefined;
  return () => {
    if (last === undefined || Date.now() - last.at > FRESH_MS) {
      const answer = read();
      last = { at: Date.now(), answer };
      answer.catch(() => {
        last = undefined;
      });
    }
    return last.answer;
  };
}

export function addPages(
  server: FastifyInstance,
  { database, hosts, rollouts, intervalSeconds, callerFor }: PageOptions,
): void {
  const silentSeconds = intervalSeconds * 3;
  const running = kept(() => readRunning(database, silentSeconds));
  const exposed = kept(() => exposures(database));
  const releases = kept(() => readReleases(database));
  const page = (
    path: string,
    write: (request: FastifyRequest, caller: Caller) => Promise<string | undefined>,
    missing = '',
  ): void => {
    server.get(path, async (request, reply) => {
      const caller = await callerFor(request, reply);
      if (caller === undefined) return reply;
      const text = await write(request, caller);
      return reply
        .status(text === undefined ? 404 : 200)
        .type('text/html; charset=utf-8')
        .send(text ?? missingPage(missing));
    });
  };
  page('/', async () =>
    overviewPage({
      running: await running(),
      releases: await releases(),
      exposures: await exposed(),
      rollouts: await readRecentRollouts(database),
      now: Date.now(),
    }),
  );
  page('/cves', async ({ query }) => {
    const all = (await running()).reduce((sum, one) => sum + one.hosts, 0);
    return cvesPage(await exposed(), all, Math.max(1, Number.parseInt(textOf(query, 'page'), 10) || 1), Date.now());
  });
  page(
    '/cve/:id',
    async ({ params }) => {
      const cve = await readCve(database, parameter(params), await running());
      return cve === undefined ? undefined : cvePage(cve, await releases(), await readRollouts(database), Date.now());
    },
    'The server does not know this CVE.',
  );
  page('/rollouts', async () => rolloutsPage(await readRollouts(database)));
  page(
    '/rollout/:id',
    async ({ params }, { role, form }) => {
      const id = parameter(params);
      const found = /^\d{1,9}$/.test(id) ? await readRolloutPage(database, id) : undefined;
      return found === undefined ? undefined : rolloutPage(found, mayAct(role, 'operator') ? form : undefined);
    },
    'There is no such rollout.',
  );
  page(
    '/hosts',
    async ({ query }) => await hostList(database, filterOf(query), textOf(query, 'after'), await releases()),
  );
  page(
    '/host/:id',
    async ({ params }) => {
      const id = parameter(params);
      const host = (await hostDetail(database, id)) as HostPage['host'] | undefined;
      if (host === undefined) return undefined;
      const known = await hosts.find(id);
      const granted = known === undefined ? undefined : rollouts.grantFor(known);
      return hostPage({ host, releases: await releases(), granted, silentMs: silentSeconds * 1000, now: Date.now() });
    },
    'There is no such host.',
  );
  server.get('/search', async (request, reply) => {
    const search = textOf(request.query, 'q').trim();
    const cve = /^CVE-\d{4}-\d{4,10}$/i.test(search) ? search.toUpperCase() : undefined;
    return reply.redirect(cve === undefined ? `/hosts?${new URLSearchParams({ search }).toString()}` : `/cve/${cve}`);
  });
}

async function hostList(
  database: Database,
  filter: HostFilter,
  after: string,
  releases: Parameters<typeof hostsPage>[3],
): Promise<string> {
  const found = await findHosts(database, { ...filter, after, limit: PAGE + 1 });
  const shown = found.slice(0, PAGE);
  return hostsPage(shown, filter, found.length > PAGE ? shown.at(-1)?.id : undefined, releases, Date.now());
}

function parameter(params: unknown): string {
  return printableOnly((params as { id?: string }).id ?? '');
}

/** PostgreSQL refuses text with a NUL. */
function printableOnly(text: string): string {
  return text.replaceAll('\0', '').slice(0, 200);
}

function textOf(query: unknown, name: string): string {
  const value = (query as Record<string, unknown>)[name];
  return typeof value === 'string' ? printableOnly(value) : '';
}

function filterOf(query: unknown): HostFilter {
  return {
    search: textOf(query, 'search'),
    kernel: textOf(query, 'kernel'),
    patch: textOf(query, 'patch'),
    condition: textOf(query, 'condition'),
    label: textOf(query, 'label'),
  };
}
