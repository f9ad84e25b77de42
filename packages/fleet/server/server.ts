/** The HTTP server: TLS, limits, headers. Routes are added by the parts that own them. */
import { readFileSync } from 'node:fs';
import { type FastifyInstance, fastify } from 'fastify';
import { failure } from 'kpatch/parts';
import type { FleetConfig } from '../config.ts';

/** No request is larger (bytes): a report is about 1 KiB, a long one with many incidents 64 KiB. */
const BODY_LIMIT = 256 << 10;

/** A server that does not listen yet. Error: `fleet-config` if the certificate or key cannot be read. */
export function makeServer(config: FleetConfig): FastifyInstance {
  const common = {
    logger: false,
    forceCloseConnections: true,
    bodyLimit: BODY_LIMIT,
    requestTimeout: 30_000,
    keepAliveTimeout: 330_000,
    trustProxy: config.proxies.length === 0 ? false : [...config.proxies],
    routerOptions: { maxParamLength: 200 },
  };
  const tls = readTls(config);
  const server =
    tls === undefined ? fastify(common) : (fastify({ ...common, https: tls }) as unknown as FastifyInstance);
  server.addHook('onSend', async (_, reply) => {
    reply
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('x-frame-options', 'DENY')
      .header('cache-control', 'no-store');
    if (config.tls !== undefined) reply.header('strict-transport-security', 'max-age=31536000');
  });
  server.setErrorHandler((error: { statusCode?: number; code?: string; message: string }, request, reply) => {
    const { statusCode = 500, code = '', message } = error;
    if (statusCode < 500) return reply.status(statusCode).send({ error: message });
    // SQLSTATE class 22: a text with a NUL, a number that is too large.
    if (/^22\w{3}$/.test(code))
      return reply.status(400).send({ error: 'the request contains a value that cannot be stored' });
    // What went wrong inside, such as the address of the database, is for the administrator and not for whoever asks.
    process.stderr.write(`${request.method} ${request.routeOptions.url ?? ''}: ${JSON.stringify(message)}\n`);
    return reply.status(500).send({ error: 'the server cannot answer; its log says why' });
  });
  server.get('/healthz', async () => ({ alive: true }));
  return server;
}

function readTls({ home, tls }: FleetConfig): { cert: Buffer; key: Buffer; minVersion: 'TLSv1.2' } | undefined {
  if (tls === undefined) return undefined;
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw failure('fleet-config', { folder: home, problem: `cannot read ${file}` }, { where: { file }, cause });
    }
  };
  return { cert: read(tls.certificate), key: read(tls.key), minVersion: 'TLSv1.2' };
}
