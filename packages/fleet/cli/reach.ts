/** Where a command of `kpatch-fleet` acts: on the database of its folder, or with `--url` on a server that runs. */
import { request as plainRequest } from 'node:http';
import { request } from 'node:https';
import { failure, readBytes } from 'kpatch/parts';
import { ApiError, FleetClient, type Send } from '../api/client.ts';
import { readConfig } from '../config.ts';
import { type Database, openDatabase } from '../store/database.ts';

export interface Common {
  readonly home: string;
  readonly database?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
}

const TIMEOUT_MS = 60_000;

export class Reach {
  readonly #options: () => Common;

  constructor(options: () => Common) {
    this.#options = options;
  }

  /** Acts on the server if `--url` names one, else on the database. Errors: `fleet-api`, `usage`, those of the database. */
  async at<T>(remote: (client: FleetClient) => Promise<T>, local: (database: Database) => Promise<T>): Promise<T> {
    const { url, tokenFile, ca } = this.#options();
    if (url === undefined) return await this.database(local);
    if (tokenFile === undefined)
      throw failure('usage', { problem: '--url needs --token-file, a file with an API token' });
    if (!/^https?:\/\/[^\s/]/.test(url))
      throw failure('usage', { problem: '--url must begin with https:// or http://' });
    const token = readBytes(tokenFile).toString('utf8').trim();
    const client = new FleetClient(url, token, sender(ca === undefined ? undefined : readBytes(ca).toString('utf8')));
    try {
      return await remote(client);
    } catch (error) {
      if (error instanceof ApiError || isOfNetwork(error))
        throw failure('fleet-api', { url, problem: (error as Error).message }, { cause: error });
      throw error;
    }
  }

  /** Acts on the database. Errors: `usage` with `--url`, those of the database. */
  async database<T>(work: (database: Database) => Promise<T>): Promise<T> {
    const { home, database: given, url } = this.#options();
    if (url !== undefined)
      throw failure('usage', { problem: 'this command works on the database: run it on the server, without --url' });
    const config = readConfig(home);
    const database = await openDatabase(config.home, given ?? config.database);
    try {
      return await work(database);
    } finally {
      await database.close();
    }
  }
}

const isOfNetwork = (error: unknown): boolean =>
  error instanceof Error && (typeof (error as { code?: unknown }).code === 'string' || error.name === 'SyntaxError');

/** An answer, with the cookie that it sets. */
type Sent = Awaited<ReturnType<Send>> & { readonly cookie: string };

/** Sends requests; with `ca` (PEM) only a server with a certificate of one of them is believed. */
export function sender(ca: string | undefined): (...given: Parameters<Send>) => Promise<Sent> {
  return (url, { method, headers, body }) =>
    new Promise((resolve, reject) => {
      const options = { method, headers, timeout: TIMEOUT_MS, ...(ca === undefined ? {} : { ca }) };
      const sent = url.startsWith('https:') ? request(url, options) : plainRequest(url, options);
      sent.on('error', reject);
      sent.on('timeout', () => {
        sent.destroy(Object.assign(new Error(`no answer within ${TIMEOUT_MS / 1000} s`), { code: 'ETIMEDOUT' }));
      });
      sent.on('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const text = Buffer.concat(parts).toString('utf8');
          const cookie = response.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
          resolve({ ok: status >= 200 && status < 300, status, text: async () => text, cookie });
        });
      });
      sent.end(body);
    });
}
