/** Serves the pages, and the same report as JSON. */
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import type { Html } from 'kpatch/parts';
import { type KernelReport, type Outcome, outcomes } from '../report/outcomes.ts';
import { cvePage, type Filter, kernelPage, missingPage, Overview, overviewPage } from './page.ts';

/** How long a report is shown before what is stored is read again (milliseconds). */
const FRESH_MS = 5000;

/** The server; `read` reads the report. It listens when the caller says where. */
export function pageServer(read: () => Promise<KernelReport[]>): FastifyInstance {
  const server = fastify({ logger: false, forceCloseConnections: true, routerOptions: { maxParamLength: 200 } });
  let known: { readonly at: number; readonly overview: Promise<Overview> } | undefined;
  const overview = (): Promise<Overview> => {
    if (known === undefined || Date.now() - known.at > FRESH_MS)
      known = { at: Date.now(), overview: read().then((kernels) => new Overview(kernels)) };
    return known.overview;
  };
  server.addHook('onSend', async (_, reply) => {
    reply
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('x-frame-options', 'DENY');
  });
  server.get<{ Querystring: Record<string, unknown> }>('/', async ({ query }, reply) =>
    reply.type('text/html; charset=utf-8').send(overviewPage(await overview(), filterOf(query)).toString()),
  );
  server.get<{ Params: { cve: string } }>('/cve/:cve', async ({ params }, reply) =>
    page(reply as FastifyReply, cvePage(await overview(), params.cve), 'No source names this CVE.'),
  );
  server.get<{ Params: { release: string } }>('/kernel/:release', async ({ params }, reply) =>
    page(reply as FastifyReply, kernelPage(await overview(), params.release), 'The factory has no such kernel.'),
  );
  server.get('/report.json', async () => ({ schema: 'kpatch.factory-report/1', kernels: (await overview()).kernels }));
  server.setNotFoundHandler((_, reply) => page(reply, undefined, 'There is no such page.'));
  return server;
}

function page(reply: FastifyReply, found: Html | undefined, missing: string): FastifyReply {
  return reply
    .status(found === undefined ? 404 : 200)
    .type('text/html; charset=utf-8')
    .send((found ?? missingPage(missing)).toString());
}

function filterOf(query: Readonly<Record<string, unknown>>): Filter {
  const text = (name: string): string => {
    const value = query[name];
    return typeof value === 'string' ? value.slice(0, 100) : '';
  };
  const outcome = outcomes.find((one): one is Outcome => one === text('outcome')) ?? '';
  const page = Number.parseInt(text('page'), 10);
  return { search: text('search'), outcome, kernel: text('kernel'), page: Number.isSafeInteger(page) ? page : 1 };
}
