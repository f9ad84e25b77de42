/** A static web server on loopback: all that a channel needs. */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** Serves a folder (it may appear later) on a free port of 127.0.0.1. */
export async function serveFolder(folder: string): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    try {
      const file = join(folder, path);
      const status = statSync(file);
      if (!status.isFile()) throw new Error('no file');
      response.writeHead(200, { 'Content-Length': status.size, 'Last-Modified': status.mtime.toUTCString() });
      createReadStream(file).pipe(response);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
