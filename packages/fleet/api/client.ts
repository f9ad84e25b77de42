/** A client of the API with types: they are those of the table of routes. */
import type { Answer, Request, RouteName } from './routes.ts';

/** The parts of a request that a route needs. */
type Needed<N extends RouteName> = {
  readonly [K in keyof Request<N> as Request<N>[K] extends undefined ? never : K]: Request<N>[K];
};

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** How a request is sent: `fetch`, or another function like it. */
export type Send = (
  url: string,
  request: { readonly method: string; readonly headers: Record<string, string>; readonly body?: string },
) => Promise<{ readonly ok: boolean; readonly status: number; text(): Promise<string> }>;

export class FleetClient {
  readonly #url: string;
  readonly #token: string;
  readonly #fetch: Send;

  constructor(url: string, token: string, send: Send = fetch) {
    this.#url = url.replace(/\/+$/, '');
    this.#token = token;
    this.#fetch = send;
  }

  /**
   * Calls a route. It throws `ApiError` if the server refuses. The answer is believed as it is: the server that it comes from was
   * authenticated and is of this program, and what is printed of it is cleaned like any text.
   */
  async call<N extends RouteName>(name: N, given: Needed<N>): Promise<Answer<N>> {
    const [method = '', path = ''] = name.split(' ');
    const {
      params = {},
      query = {},
      body,
    } = given as {
      params?: Record<string, string>;
      query?: Record<string, string>;
      body?: unknown;
    };
    const filled = path.replace(/:(\w+)/g, (_, part: string) => encodeURIComponent(params[part] ?? ''));
    const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined)).toString();
    const answer = await this.#fetch(`${this.#url}${filled}${search === '' ? '' : `?${search}`}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new ApiError(answer.status, problemIn(text));
    return JSON.parse(text) as Answer<N>;
  }
}

function problemIn(text: string): string {
  try {
    return String((JSON.parse(text) as { error?: unknown }).error ?? text);
  } catch {
    return text.slice(0, 300);
  }
}
