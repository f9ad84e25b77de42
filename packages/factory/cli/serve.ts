/** Servers of the command line: where they listen, and until when. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { failure, printError } from 'kpatch/parts';
import { FolderBlobs } from '../store/blobs.ts';
import { isLoopback, readToken, storeServer } from '../store/remote.ts';

/** An address with a port. Error: `usage`. */
export function addressIn(listen: string): { host: string; port: number } {
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(listen) ?? [];
  if (host === undefined || Number(port) > 65535)
    throw failure('usage', { problem: `${listen} is not an address with a port` });
  return { host, port: Number(port) };
}

/** Listens, says where, and ends with SIGINT or SIGTERM. */
export async function serveUntilStopped(server: FastifyInstance, host: string, port: number): Promise<void> {
  const address = await server.listen({ host, port });
  printError(`serving ${address}\n`);
  await new Promise<void>((resolve) => void process.once('SIGINT', resolve).once('SIGTERM', resolve));
  await server.close();
}

export interface StoreOptions {
  readonly token: string;
  readonly listen: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** `kpatch-factory store`. Errors: `usage`, `factory-store`. */
export async function serveStore(home: string, options: StoreOptions): Promise<void> {
  const { host, port } = addressIn(options.listen);
  const { certificate, key } = options;
  if ((certificate === undefined) !== (key === undefined))
    throw failure('usage', { problem: '--certificate and --key belong together' });
  if (certificate === undefined && !isLoopback(host))
    throw failure('usage', { problem: `other machines reach ${host}: give --certificate and --key` });
  const read = (file: string): Buffer => {
    try {
      return readFileSync(file);
    } catch (cause) {
      throw failure('factory-store', { store: file, problem: (cause as Error).message }, { cause });
    }
  };
  const tls = certificate === undefined || key === undefined ? undefined : { cert: read(certificate), key: read(key) };
  const server = storeServer(new FolderBlobs(join(home, 'store')), readToken(options.token), tls);
  await serveUntilStopped(server, host, port);
}
