/** A fleet server for tests, on an embedded database or a PostgreSQL server, and requests to it. */
import type { FleetAnswer } from 'kpatch/fleet';
import { type TemporaryFolder, temporaryFolder } from 'kpatch/parts';
import { commandLine } from '#fleet/access/audit.ts';
import { createToken } from '#fleet/access/tokens.ts';
import { defaultConfig, type FleetConfig } from '#fleet/config.ts';
import { type Fleet, openFleet } from '#fleet/server/fleet.ts';
import type { SimulatedHost } from '#fleet/simulate/host.ts';
import { type Database, openDatabase } from '#fleet/store/database.ts';
import { giveDatabase } from './empty-database.ts';

const HOUR_MS = 3_600_000;

export class TestFleet implements AsyncDisposable {
  readonly folder: TemporaryFolder = temporaryFolder('kpatch-fleet-');
  database!: Database;
  fleet!: Fleet;
  /**
   * The clock of the server (milliseconds). It begins on the hour: evidence is counted by the hour, so the same steps would else be
   * judged differently at another time of the day.
   */
  now = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;

  static async open(settings: object = {}, url?: string): Promise<TestFleet> {
    const world = new TestFleet();
    if (url === undefined) await giveDatabase(world.folder.path);
    world.database = await openDatabase(world.folder.path, url);
    const config: FleetConfig = defaultConfig(world.folder.path, settings);
    world.fleet = await openFleet(world.database, config, () => world.now);
    return world;
  }

  async token(uses = 1, labels: readonly string[] = []): Promise<string> {
    return (await createToken(this.database, commandLine, { note: 'test', labels, uses, hours: 1 })).token;
  }

  async post(path: string, text: string): Promise<{ status: number; body: Partial<FleetAnswer> & { error?: string } }> {
    const headers = { 'content-type': 'application/json' };
    const answer = await this.fleet.server.inject({ method: 'POST', url: path, payload: text, headers });
    return { status: answer.statusCode, body: answer.json() };
  }

  /** Joins with a token of its own. */
  async join(host: SimulatedHost, labels: readonly string[] = []): Promise<void> {
    const { status, body } = await this.post('/v1/join', host.joinRequest(await this.token(1, labels)));
    if (status !== 200) throw new Error(`cannot join: ${body.error}`);
  }

  /** Sends the next report of a host five minutes after the one before it, and lets it hear the answer. */
  async report(host: SimulatedHost, changes: Parameters<SimulatedHost['report']>[1] = {}): Promise<FleetAnswer> {
    this.now += 300_000;
    const { status, body } = await this.post('/v1/report', host.sealed(new Date(this.now), changes));
    if (status !== 200 && status !== 409) throw new Error(`status ${status}: ${body.error}`);
    const answer = body as FleetAnswer;
    host.heard(answer);
    return answer;
  }

  async one(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>> {
    return (await this.database.query(text, values))[0] ?? {};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
    await this.database.close();
    this.folder[Symbol.dispose]();
  }
}
