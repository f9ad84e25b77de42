/**
 * What code ran, and how often, from V8's own precise coverage of blocks (node:inspector). It needs no instrumented copy of the program and no
 * package. The counts are exact, so they measure work without a clock.
 */
import { Session } from 'node:inspector';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface Script {
  readonly scriptId: string;
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

export interface Taken {
  /** Each block that ran, with how often in powers of two: what makes an input interesting. */
  readonly features: readonly string[];
  /** How many times blocks ran, all together. */
  readonly steps: number;
}

/** Only the program counts, not tests and Node itself. */
const ours = /\/packages\/kpatch\/(?!test\/)/;

export class Coverage implements Disposable {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What ran since the last call. */
  take(): Taken {
    const features: string[] = [];
    let steps = 0;
    const { result } = this.#post('Profiler.takePreciseCoverage') as { result: readonly Script[] };
    for (const { scriptId, url, functions } of result) {
      if (!ours.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count === 0) continue;
          steps += count;
          features.push(`${scriptId}:${startOffset}:${endOffset}:${31 - Math.clz32(count)}`);
        }
      }
    }
    return { features, steps };
  }

  /** An in-process session answers before it returns. */
  #post(method: string, parameters: object = {}): unknown {
    let answer: unknown;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${JSON.stringify(error)}`);
      answer = result;
    });
    return answer;
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }
}
