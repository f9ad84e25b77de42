/** Saves a running guest into a file of kept guests; the guest goes on afterwards. */
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { failure } from '../../base/errors/error.ts';
import { giveFolder } from '../../sandbox/user.ts';
import type { Guest } from '../guest.ts';
import { tidyKept, writeKept } from './kept-file.ts';

/** Guests kept with the same key: so many different choices of KASLR. */
const PER_KEY = 4;

/** All kept guests together, bytes; one takes some 90 MB. */
const LIMIT_BYTES = 3 * 2 ** 30;

const SAVE_DEADLINE_MS = 60_000;

export interface Shelf {
  readonly folder: string;
  readonly label: string;
  readonly key: string;
}

/**
 * QEMU sends the state to a socket in `folder`, which is private to this guest; so QEMU needs no right to write a file.
 * Errors: `guest-monitor`, those of a guest that is gone, and those of the system for a file that cannot be written.
 */
export async function saveGuest(guest: Guest, folder: string, shelf: Shelf): Promise<void> {
  const writer = writeKept(shelf.folder, shelf.label, {
    key: shelf.key,
    made: new Date().toISOString(),
    console: guest.console,
  });
  try {
    await guest.whileAlive(transfer(guest, join(folder, 'state'), writer.write), 'save', SAVE_DEADLINE_MS);
    writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
  tidyKept(shelf.folder, shelf.key, PER_KEY, LIMIT_BYTES);
}

async function transfer({ monitor }: Guest, socket: string, write: (chunk: Buffer) => void): Promise<void> {
  await monitor.ready;
  const server = createServer();
  const received = new Promise<void>((resolve, reject) => {
    server.once('connection', (stream: Socket) => {
      stream.on('error', reject).on('end', resolve);
      stream.on('data', (chunk: Buffer) => {
        try {
          write(chunk);
        } catch (error) {
          stream.destroy(error as Error);
        }
      });
    });
    server.once('error', reject);
  });
  received.catch(() => {});
  try {
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    giveFolder(socket); // QEMU connects to it
    await monitor.run('migrate-set-parameters', { 'max-bandwidth': 100_000_000_000 });
    await monitor.run('migrate', { uri: `unix:${socket}` });
    await Promise.all([received, sent(monitor)]);
  } finally {
    server.close();
    await monitor.run('cont');
  }
}

async function sent(monitor: Guest['monitor']): Promise<void> {
  for (;;) {
    const { status = '', ...more } = (await monitor.run('query-migrate')) as { status?: string };
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled')
      throw failure('guest-monitor', {
        command: 'migrate',
        problem: `${status} ${JSON.stringify(more).slice(0, 500)}`,
      });
    await delay(10);
  }
}
