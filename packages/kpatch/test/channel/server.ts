/** A static web server on loopback, whose answers a test can change: what is in for a mirror, a broken one too. */
import { createReadStream, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

export interface Server extends AsyncDisposable {
  readonly url: string;
  /** The folder that is served; read at every request. */
  folder: string;
  /** Paths that were asked for. */
  readonly asked: string[];
  /** Answers in place of the file where it gives true. */
  intercept: ((path: string, response: ServerResponse) => boolean) | undefined;
}

/** Starts it on a free port. */
export async function serve(folder: string): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    state.asked.push(path);
    if (state.intercept?.(path, response) === true) return;
    const file = join(state.folder, path);
    try {
      const { size, mtime } = statSync(file);
      response.writeHead(200, { 'Content-Length': size, 'Last-Modified': mtime.toUTCString() });
      createReadStream(file).pipe(response);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const state: Server = {
    url: `http://127.0.0.1:${port}`,
    folder,
    asked: [],
    intercept: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return state;
}
