/** A fleet server as people run it: the program in a process of its own with TLS, and the same program to act on it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from 'kpatch/parts';
import { FleetClient } from '#fleet/api/client.ts';
import { sender } from '#fleet/cli/reach.ts';
import type { StoredRollout } from '#fleet/rollout/store.ts';
import { makeCertificate } from '#fleet/simulate/certificate.ts';
import { giveDatabase } from '../empty-database.ts';
import { listening } from '../listening.ts';

const program = join(import.meta.dirname, '../../cli/main.ts');
const PASSWORD = 'a long password of a test';

/** Runs `kpatch-fleet` and gives what it prints; any status but 0 is an error. */
async function command(args: readonly string[], input = ''): Promise<string> {
  const env = { ...process.env, NODE_OPTIONS: '' } as Record<string, string>;
  const { status, stdout, stderr } = await run(process.execPath, [program, ...args], {
    input,
    env,
    timeoutMs: 300_000,
  });
  if (status !== 0) throw new Error(`kpatch-fleet ${args.join(' ')}: ${stderr}`);
  return stdout.toString().trim();
}

/** No ring waits longer than it takes to see its hosts with the patch: what is tested is who gets it and why not. */
export const twoRings = {
  schema: 'kpatch.fleet-plan/1',
  rings: [
    { name: 'first', labels: ['canary'], soakHours: 0, hostHours: 0 },
    { name: 'second', share: 1, soakHours: 0, hostHours: 0 },
  ],
  watchHours: 0,
};

export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  readonly client: FleetClient;
  readonly authorities: string;
  readonly #child: ChildProcess;
  readonly #reach: readonly string[];
  readonly #url: string;

  private constructor(child: ChildProcess, url: string, authorities: string, token: string, reach: readonly string[]) {
    this.#child = child;
    this.#url = url;
    this.port = Number(new URL(url).port);
    this.authorities = authorities;
    this.#reach = reach;
    this.client = new FleetClient(url, token, sender(authorities));
  }

  /** Makes a server in a folder, with an account and an API token, and starts it. `address` is where the machines find it. */
  static async start(home: string, address: string, intervalSeconds: number): Promise<ServerProcess> {
    const tls = makeCertificate(home, 30, `IP:${address},IP:127.0.0.1`);
    const { certificate, key, authorities, authoritiesFile } = tls;
    const settings = { schema: 'kpatch.fleet/1', listen: { port: 0 }, tls: { certificate, key }, intervalSeconds };
    writeFileSync(join(home, 'fleet.json'), JSON.stringify(settings));
    await giveDatabase(home);
    await command(['-C', home, 'account', 'set', 'olga', '--role', 'operator', '--password-file', '-'], PASSWORD);
    const token = await command(['-C', home, 'api-token', 'create', 'test', '--role', 'admin']);
    const tokenFile = join(home, 'api-token');
    writeFileSync(tokenFile, token, { mode: 0o600 });
    const child = spawn(process.execPath, [program, '-C', home, 'serve'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const url = await listening(child);
    const reach = ['--url', url, '--token-file', tokenFile, '--ca', authoritiesFile];
    return new ServerProcess(child, url, authorities, token, reach);
  }

  /** Runs `kpatch-fleet` against the server that runs. */
  async act(...args: readonly string[]): Promise<string> {
    return await command([...this.#reach, ...args]);
  }

  /** Plans a rollout of `release` and starts it; gives its number. */
  async roll(kernel: string, release: string, plan: string, previous = ''): Promise<string> {
    const before = previous === '' ? [] : ['--previous', previous];
    const options = ['--kernel', kernel, '--release', release, ...before, '--plan', plan];
    const id = await this.act('rollout', 'create', ...options);
    await this.act('rollout', 'start', id);
    return id;
  }

  async rollout(id: string): Promise<StoredRollout> {
    return (await this.client.call('GET /api/rollouts/:id', { params: { id } })) as unknown as StoredRollout;
  }

  /** The state of a rollout and of its rings, as `running done open`. */
  async standing(id: string): Promise<string> {
    const { state, rings } = await this.rollout(id);
    return [state, ...rings.map((ring) => ring.state)].join(' ');
  }

  /** Waits until `standing` is that. */
  async reach(id: string, wanted: string): Promise<void> {
    await this.until(
      () => this.standing(id),
      (is) => is === wanted,
      `rollout ${id}: ${wanted}`,
    );
  }

  /** Asks until the answer is the wanted one; the error says what it was last. */
  async until<T>(ask: (client: FleetClient) => Promise<T>, isWanted: (value: T) => boolean, what: string): Promise<T> {
    const end = performance.now() + 300_000;
    for (;;) {
      const value = await ask(this.client);
      if (isWanted(value)) return value;
      if (performance.now() > end) throw new Error(`${what} has not come about: ${JSON.stringify(value)}`);
      await sleep(500);
    }
  }

  /** The text of a page as a person sees it who signs in. */
  async page(path: string): Promise<string> {
    const send = sender(this.authorities);
    const form = new URLSearchParams({ name: 'olga', password: PASSWORD, next: path }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const signedIn = await send(`${this.#url}/sign-in`, { method: 'POST', headers, body: form });
    const cookie = signedIn.cookie;
    const page = await send(this.#url + path, { method: 'GET', headers: { cookie } });
    if (!page.ok) throw new Error(`${path}: status ${page.status}`);
    return (await page.text()).replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill();
    await ended;
  }
}
