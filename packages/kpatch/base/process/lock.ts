/**
 * A lock between processes. flock(1) holds it in a child process that ends when this process ends for any reason (its standard
 * input closes), so a killed kpatch leaves no stale lock.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { failure } from '../errors/error.ts';
import { interrupted } from './cleanup.ts';

export interface Lock {
  release(): void;
  [Symbol.dispose](): void;
}

/**
 * Takes the lock on the file `path` (created if missing, never removed). `what` names the locked thing in the message.
 * Waits up to `waitMs` for the holder, then throws `locked`.
 * Several processes can hold a `shared` lock at once, but not together with an exclusive one.
 */
export function lock(
  path: string,
  what: string,
  options: { waitMs?: number; onWait?: () => void; shared?: boolean } = {},
): Promise<Lock> {
  mkdirSync(dirname(path), { recursive: true });
  const { waitMs = 0, onWait, shared = false } = options;
  return attempt(path, 0, shared).then((held) => {
    if (held !== undefined) return held;
    if (waitMs === 0) throw failure('locked', { what }, { where: { file: path } });
    onWait?.();
    return attempt(path, waitMs, shared).then((later) => {
      if (later === undefined) throw failure('locked', { what }, { where: { file: path } });
      return later;
    });
  });
}

function attempt(path: string, waitMs: number, shared: boolean): Promise<Lock | undefined> {
  const wait = waitMs === 0 ? ['-n'] : ['-w', String(Math.ceil(waitMs / 1000))];
  return new Promise((resolve, reject) => {
    const child = spawn('flock', [shared ? '-s' : '-x', ...wait, path, 'sh', '-c', 'echo held; exec cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const release = (): void => void child.stdin.end();
    const onAbort = (): void => void child.kill();
    interrupted.addEventListener('abort', onAbort, { once: true });
    child.stdin.on('error', () => {});
    child.on('error', (cause) => reject(failure('tool-missing', { tool: 'flock', package: 'util-linux' }, { cause })));
    child.stdout.once('data', () => {
      // The lock must not keep the process alive: it is released when this process ends.
      child.unref();
      (child.stdin as unknown as { unref?(): void }).unref?.();
      (child.stdout as unknown as { unref?(): void }).unref?.();
      resolve({ release, [Symbol.dispose]: release });
    });
    child.on('close', () => {
      interrupted.removeEventListener('abort', onAbort);
      resolve(undefined);
    });
  });
}
