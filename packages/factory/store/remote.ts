/** The store of a coordinator over HTTP: what a worker on another machine reads and writes. */
import { timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { failure, KpatchError, sha256 } from 'kpatch/parts';
import { Blobs, type FolderBlobs, isDigest } from './blobs.ts';

/** A module of all changes of a window has some ten megabytes. */
const MOST_BYTES = 512 * 2 ** 20;
const TIMEOUT_MS = 120_000;

/** Shorter secrets can be guessed. */
const LEAST_TOKEN = 32;

/** The secret that a coordinator and its workers share. Error: `factory-store`. */
export function readToken(file: string): string {
  const no = (problem: string): Error => failure('factory-store', { store: file, problem });
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw no((error as Error).message);
  }
  if (token.length < LEAST_TOKEN || !/^[\x21-\x7e]+$/.test(token))
    throw no(`the token must be one word of at least ${LEAST_TOKEN} characters`);
  return token;
}

/** True for an address of this machine that no other one reaches. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '');
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Keeps what it has read in a folder, which may be emptied at any time. */
export class RemoteBlobs extends Blobs {
  readonly place: string;
  readonly #token: string;
  readonly #kept: FolderBlobs;

  /** `url` is that of the coordinator. Error: `factory-store` if the token would go over the network in the clear. */
  constructor(url: string, token: string, kept: FolderBlobs) {
    super();
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    const no = (problem: string): Error => failure('factory-store', { store: url, problem });
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) throw no('it is not an address of the web');
    if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname))
      throw no('without TLS everybody on the way reads the token: use https');
    this.place = url.replace(/\/+$/, '');
    this.#token = token;
    this.#kept = kept;
  }

  async put(bytes: Uint8Array | string): Promise<string> {
    const digest = await this.#kept.put(bytes);
    if ((await this.#ask(digest, { method: 'HEAD' })).status === 200) return digest;
    const body = Buffer.from(bytes);
    const { status } = await this.#ask(digest, {
      method: 'PUT',
      body,
      headers: { 'content-type': 'application/octet-stream' },
    });
    if (status !== 204) throw this.#problem(status);
    return digest;
  }

  async get(digest: string): Promise<Buffer | undefined> {
    if (!isDigest(digest)) return undefined;
    const kept = await this.#kept.get(digest);
    if (kept !== undefined) return kept;
    const answer = await this.#ask(digest, { method: 'GET' });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.#problem(answer.status);
    const bytes = Buffer.from(await this.#bodyOf(answer));
    if (sha256(bytes) !== digest) return undefined;
    await this.#kept.put(bytes);
    return bytes;
  }

  async #ask(digest: string, request: RequestInit): Promise<Response> {
    const headers = { ...(request.headers as Record<string, string>), authorization: `Bearer ${this.#token}` };
    try {
      // No redirection: it would carry the token elsewhere.
      return await fetch(`${this.place}/store/${digest}`, {
        ...request,
        headers,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      throw this.#lost(error);
    }
  }

  async #bodyOf(answer: Response): Promise<ArrayBuffer> {
    try {
      return await answer.arrayBuffer();
    } catch (error) {
      throw this.#lost(error);
    }
  }

  #lost(error: unknown): Error {
    const { message, cause } = error as Error;
    const problem = cause instanceof Error ? `${message}: ${cause.message}` : message;
    return failure('factory-store', { store: this.place, problem }, { cause: error });
  }

  #problem(status: number): Error {
    const known: Readonly<Record<number, string>> = {
      401: 'it does not take the token',
      413: 'the result is too large for it',
      507: 'it is full',
    };
    return failure('factory-store', {
      store: this.place,
      problem: known[status] ?? `it answers with status ${status}`,
    });
  }
}

/** Serves a folder to workers that know the token; with TLS if `tls` is given. */
export function storeServer(
  blobs: FolderBlobs,
  token: string,
  tls?: { readonly cert: Uint8Array; readonly key: Uint8Array },
): FastifyInstance {
  const common = { logger: false, forceCloseConnections: true, bodyLimit: MOST_BYTES } as const;
  const server =
    tls === undefined
      ? fastify(common)
      : (fastify({
          ...common,
          https: { cert: Buffer.from(tls.cert), key: Buffer.from(tls.key), minVersion: 'TLSv1.2' },
        }) as unknown as FastifyInstance);
  const wanted = Buffer.from(sha256(`Bearer ${token}`));
  // Before the body is read: strangers send nothing.
  server.addHook('onRequest', async (request, reply) => {
    const given = Buffer.from(sha256(request.headers.authorization ?? ''));
    if (!timingSafeEqual(given, wanted)) return reply.status(401).send();
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
  server.get<{ Params: { digest: string } }>('/store/:digest', async ({ params }, reply) => {
    const bytes = await blobs.get(params.digest);
    return bytes === undefined ? reply.status(404).send() : reply.type('application/octet-stream').send(bytes);
  });
  server.put<{ Params: { digest: string } }>('/store/:digest', async ({ params, body }, reply) => {
    if (!Buffer.isBuffer(body) || sha256(body) !== params.digest) return reply.status(400).send();
    await blobs.put(body);
    return reply.status(204).send();
  });
  server.setErrorHandler((error: { statusCode?: number }, _, reply) => {
    if (error instanceof KpatchError && error.code === 'disk-full') return reply.status(507).send();
    return reply.status(error.statusCode ?? 500).send();
  });
  return server;
}
