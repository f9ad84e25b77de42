/** A PostgreSQL server of its own for tests, of the Debian package postgresql. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chownSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';

export class PostgresServer implements AsyncDisposable {
  readonly url: string;
  readonly #port: number;
  readonly #folder = temporaryFolder('kpatch-postgres-');
  readonly #programs: string;
  /** It refuses to run as root. */
  readonly #user: { uid?: number; gid?: number };
  #server: ChildProcess | undefined;

  private constructor(port: number) {
    this.#port = port;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(a) - Number(b));
    this.#programs = join('/usr/lib/postgresql', versions.at(-1)!, 'bin');
    const id = (what: string): number => Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }));
    this.#user = process.getuid?.() === 0 ? { uid: id('-u'), gid: id('-g') } : {};
    if (this.#user.uid !== undefined) chownSync(this.#folder.path, this.#user.uid, this.#user.gid!);
  }

  static async start(): Promise<PostgresServer> {
    const server = new PostgresServer(await freePort());
    const data = join(server.#folder.path, 'data');
    const settings = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'];
    execFileSync(join(server.#programs, 'initdb'), settings, { ...server.#user, cwd: '/', stdio: 'ignore' });
    await server.run();
    return server;
  }

  /** Starts the server, also again after `kill`. */
  async run(): Promise<void> {
    const folder = this.#folder.path;
    const args = [
      '-D',
      join(folder, 'data'),
      '-p',
      String(this.#port),
      '-k',
      folder,
      '-c',
      'listen_addresses=127.0.0.1',
    ];
    this.#server = spawn(join(this.#programs, 'postgres'), args, { ...this.#user, cwd: '/', stdio: 'ignore' });
    for (let attempt = 0; attempt < 1200; attempt++) {
      const ready = ['-q', '-h', '127.0.0.1', '-p', String(this.#port), '-U', 'postgres'];
      try {
        execFileSync(join(this.#programs, 'pg_isready'), ready, { cwd: '/', stdio: 'ignore' });
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    throw new Error('PostgreSQL does not start');
  }

  /** Kills it as a power cut would. */
  async kill(signal: 'SIGQUIT' | 'SIGINT' = 'SIGQUIT'): Promise<void> {
    const server = this.#server;
    if (server === undefined || server.exitCode !== null) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill('SIGINT');
    this.#folder[Symbol.dispose]();
  }
}

/**
 * A free port below those that the kernel gives to connections (ip_local_port_range begins at 32768): the server takes it seconds later,
 * and again after each kill, and no other program may have got it by chance in between.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
