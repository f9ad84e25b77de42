/** Lets simulated machines report at an even rate over TLS with keep-alive, and measures the answers. */
import { Agent, request } from 'node:https';
import { type FleetAnswer, formProblem } from 'kpatch/fleet';
import type { SimulatedHost } from './host.ts';

export interface LoadOptions {
  readonly url: string;
  readonly authorities: string;
  readonly hosts: readonly SimulatedHost[];
  /** Every host reports once in this time. */
  readonly intervalSeconds: number;
  readonly seconds: number;
  /** Connections that the hosts share, because this machine has too few ports for one each. */
  readonly connections: number;
  readonly onAnswer?: (host: SimulatedHost, answer: FleetAnswer) => void;
  readonly before?: (host: SimulatedHost) => void;
  readonly signal?: AbortSignal;
}

export interface LoadResult {
  /** Reports that the server said it took. */
  readonly taken: number;
  /** Reports that were not taken, by reason. */
  readonly failed: ReadonlyMap<string, number>;
  /** Milliseconds from the moment a report was due to its answer, so that a slow server is not asked less often. */
  readonly latencies: Float64Array;
  readonly seconds: number;
  /** Bytes of all envelopes. */
  readonly bytes: number;
}

/** A report is due every intervalSeconds / hosts; it is sent even if earlier ones are not answered yet. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { hosts, intervalSeconds, seconds, connections, authorities } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections, ca: authorities, scheduling: 'fifo' });
  const total = Math.floor((hosts.length * seconds) / intervalSeconds);
  const latencies = new Float64Array(total);
  const failed = new Map<string, number>();
  let taken = 0;
  let bytes = 0;
  let answered = 0;
  const start = performance.now();
  const due = (at: number): number => start + (at * intervalSeconds * 1000) / hosts.length;
  await new Promise<void>((resolve) => {
    let next = 0;
    const step = (): void => {
      const stop = options.signal?.aborted === true;
      while (!stop && next < total && due(next) <= performance.now()) {
        const at = next++;
        const host = hosts[at % hosts.length]!;
        options.before?.(host);
        const text = host.sealed();
        bytes += text.length;
        void send(options.url, agent, text).then((result) => {
          latencies[answered++] = performance.now() - due(at);
          if (typeof result === 'string') failed.set(result, (failed.get(result) ?? 0) + 1);
          else {
            taken++;
            host.heard(result);
            options.onAnswer?.(host, result);
          }
          if (answered === next && (stop || next === total)) resolve();
        });
      }
      if (stop && answered === next) resolve();
      else if (next < total) setTimeout(step, Math.max(0, due(next) - performance.now()));
    };
    step();
  });
  agent.destroy();
  const elapsed = (performance.now() - start) / 1000;
  return { taken, failed, latencies: latencies.subarray(0, answered).sort(), seconds: elapsed, bytes };
}

function send(url: string, agent: Agent, text: string): Promise<FleetAnswer | string> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': text.length };
    const sent = request(`${url}/v1/report`, { method: 'POST', agent, headers, timeout: 60_000 }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', (error) => resolve(error.message));
      response.on('end', () => {
        resolve(response.statusCode === 200 ? answerIn(Buffer.concat(parts)) : `status ${response.statusCode}`);
      });
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer within a minute')));
    sent.on('error', (error) => resolve(error.message));
    sent.end(text);
  });
}

/** The answer, or what is wrong with it. */
function answerIn(bytes: Buffer): FleetAnswer | string {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    const problem = formProblem('kpatch.fleet-answer/1', value);
    return problem === undefined ? (value as FleetAnswer) : `an answer of another form: ${problem}`;
  } catch (error) {
    return `an answer that is not JSON: ${(error as Error).message}`;
  }
}

/** The value below which this share of sorted values lies. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
