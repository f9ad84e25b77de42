/** GnuPG's home for as long as the demo runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';

/**
 * Makes it in `folder`, for this process and all that it starts. gpg leaves an agent running there: a shell that waits for the
 * end of its input ends it, so also where this process is killed.
 */
export function gnupgHome(folder: string): AsyncDisposable {
  mkdirSync(folder, { mode: 0o700 });
  process.env.GNUPGHOME = folder;
  const guard = spawn('sh', ['-c', 'read -r _; exec gpgconf --kill all'], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = once(guard, 'exit');
  guard.unref();
  (guard.stdin as Socket).unref();
  return {
    async [Symbol.asyncDispose]() {
      guard.ref();
      guard.stdin.end();
      await ended;
    },
  };
}
