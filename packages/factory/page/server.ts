/** Serves the pages, and the same report as JSON. */
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import type { Html } from 'kpatch/parts';
import { type KernelReport, type Outcome, outcomes } from '../report/outcomes.ts';
import type { Blobs } from '../store/blobs.ts';
import { cvePage, kernelPage, patchPage, refusalPage, reportOf } from './detail.ts';
import { type Filter, missingPage, Overview, overviewPage } from './page.ts';

/** How long a report is shown before what is stored is read again (milliseconds). */
const FRESH_MS = 5000;

/** The server; `read` reads the report, `blobs` has the texts. It listens when the caller says where. */
export function pageServer(read: () => Promise<KernelReport[]>, blobs: Blobs): FastifyInstance {
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
  server.get<{ Params: OneCommit }>(
    '/kernel/:release/refusal/:commit',
    async ({ params: { release, commit } }, reply) =>
      page(
        reply as FastifyReply,
        await refusalPage(await overview(), blobs, release, commit),
        'This commit was not refused.',
      ),
  );
  server.get<{ Params: OneCommit }>('/kernel/:release/patch/:commit', async ({ params: { release, commit } }, reply) =>
    page(reply as FastifyReply, await patchPage(await overview(), blobs, release, commit), 'No such patch is built.'),
  );
  server.get<{ Params: { release: string } }>('/kernel/:release/report', async ({ params }, reply) => {
    const report = await reportOf(await overview(), blobs, params.release);
    if (report === undefined) return page(reply as FastifyReply, undefined, 'There is no report of this kernel.');
    return reply.type('text/html; charset=utf-8').send(report);
  });
  server.get('/report.json', async () => ({ schema: 'kpatch.factory-report/1', kernels: (await overview()).kernels }));
  server.setNotFoundHandler((_, reply) => page(reply, undefined, 'There is no such page.'));
  return server;
}

interface OneCommit {
  readonly release: string;
  readonly commit: string;
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
