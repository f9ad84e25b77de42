/** Compiles many small sources for one target in few processes; the same source with the same flags is compiled once. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Target } from './targets.ts';

const execute = promisify(execFile);

export interface Job {
  readonly target: Target;
  /** After the target's headers. */
  readonly source: string;
  readonly flags: readonly string[];
}

/** How many sources one process of the compiler gets. */
const BATCH = 24;
/** Processes at a time; the machine of CI has two cores. */
const WIDTH = 2;

const key = ({ target, source, flags }: Job): string => [target.name, ...flags, source].join('\0');

/** Objects of all jobs, by `objectOf`. */
export class Objects {
  readonly #bytes = new Map<string, Uint8Array>();

  objectOf(job: Job): Uint8Array {
    const bytes = this.#bytes.get(key(job));
    if (bytes === undefined) throw new Error(`not compiled for ${job.target.name}: ${job.source}`);
    return bytes;
  }

  /** Compiles in `folder`. A source that does not compile is an error that names it. */
  async compile(folder: string, jobs: readonly Job[]): Promise<void> {
    const groups = new Map<string, Map<string, Job>>();
    for (const job of jobs) {
      const name = [job.target.name, ...job.flags].join('\0');
      const group = groups.get(name) ?? new Map<string, Job>();
      group.set(key(job), job);
      groups.set(name, group);
    }
    const batches: [string, Job][][] = [];
    for (const group of groups.values()) {
      const all = [...group];
      for (let at = 0; at < all.length; at += BATCH) batches.push(all.slice(at, at + BATCH));
    }
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < batches.length; index = next++) {
        await this.#batch(join(folder, String(index)), batches[index]!);
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, worker));
  }

  async #batch(folder: string, batch: readonly [string, Job][]): Promise<void> {
    mkdirSync(folder, { recursive: true });
    const { target, flags } = batch[0]![1];
    const files = batch.map(([, { source }], index) => {
      // The headers stand on lines of their own; the case begins on line 1 of `a.c`.
      writeFileSync(join(folder, `${index}.c`), `${target.headers}\n#line 1 "a.c"\n${source}\n`);
      return `${index}.c`;
    });
    await execute(target.compiler, [...target.flags, ...flags, '-c', ...files], { cwd: folder });
    for (const [index, [name]] of batch.entries()) {
      this.#bytes.set(name, new Uint8Array(readFileSync(join(folder, `${index}.o`))));
    }
  }
}
