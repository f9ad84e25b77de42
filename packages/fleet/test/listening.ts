/** A fleet server in a process of its own. */
import type { ChildProcess } from 'node:child_process';

/** The address that `kpatch-fleet serve` prints once it listens. Error: it has ended before. */
export function listening(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('exit', () => reject(new Error('the server does not start')));
    server.stdout!.on('data', (part: Buffer) => {
      const found = /listening on (\S+)/.exec(part.toString())?.[1];
      if (found !== undefined) resolve(found);
    });
  });
}
