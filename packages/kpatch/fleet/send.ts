/** Talks to the fleet server: node:https with the certificates that were pinned when the machine joined. */
import { existsSync, readFileSync } from 'node:fs';
import { type Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent, request } from 'node:https';
import { failure } from '../base/errors/error.ts';
import type { Place } from './place.ts';

/** Time limit for one request (milliseconds). */
const TIMEOUT_MS = 30_000;
/** No answer is larger (bytes). */
const LIMIT = 256 << 10;

export interface ServerAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** The connection to one server; requests share one connection. */
export class ServerConnection implements Disposable {
  readonly #url: string;
  readonly #agent: Agent | undefined;

  /** With `authorities` (PEM) only servers with a certificate of one of them are believed, otherwise those of the system. */
  constructor(url: string, authorities: string | undefined) {
    this.#url = url.replace(/\/+$/, '');
    const trust = authorities === undefined ? {} : { ca: authorities };
    this.#agent = url.startsWith('https:')
      ? new Agent({ keepAlive: true, minVersion: 'TLSv1.2', ...trust })
      : undefined;
  }

  static of(url: string, place: Place): ServerConnection {
    return new ServerConnection(
      url,
      existsSync(place.authorities) ? readFileSync(place.authorities, 'utf8') : undefined,
    );
  }

  /** Sends JSON text and returns the answer. Error: `fleet-unreachable`. */
  async post(path: string, text: string): Promise<ServerAnswer> {
    const url = `${this.#url}${path}`;
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const options = { method: 'POST', headers, timeout: TIMEOUT_MS };
    return new Promise((resolve, reject) => {
      const refuse = (cause: Error): void => {
        reject(failure('fleet-unreachable', { url: this.#url, problem: problemOf(cause) }, { cause }));
      };
      const sent =
        this.#agent === undefined
          ? plainRequest(url, { ...options, agent: false as unknown as PlainAgent })
          : request(url, { ...options, agent: this.#agent });
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      sent.on('error', refuse);
      sent.on('response', (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on('data', (part: Buffer) => {
          size += part.length;
          if (size > LIMIT) sent.destroy(new Error('its answer is too large'));
          else parts.push(part);
        });
        response.on('error', refuse);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(parts)) }));
      });
      sent.end(text);
    });
  }

  [Symbol.dispose](): void {
    this.#agent?.destroy();
  }
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The certificate errors of OpenSSL in words; the rest is the text of the system. */
function problemOf(error: Error & { code?: string }): string {
  const words: Readonly<Record<string, string>> = {
    CERT_HAS_EXPIRED: 'its certificate has expired',
    CERT_NOT_YET_VALID: 'its certificate is not valid yet; is the clock of this machine right?',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not one that this machine trusts',
    SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not one that this machine trusts',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not one that this machine trusts',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not one that this machine trusts',
    ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'the name is not known',
  };
  return words[error.code ?? ''] ?? error.message;
}

/** What the server says if it refuses something. */
export function refusalOf({ status, body }: ServerAnswer): string {
  const { error } = (typeof body === 'object' && body !== null ? body : {}) as { error?: unknown };
  return typeof error === 'string' ? error.slice(0, 300) : `it answers with status ${status}`;
}
