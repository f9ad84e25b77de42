/** Coverage-guided fuzzing: inputs that reach new code are kept and changed further. The same seed gives the same inputs. */
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { numbers } from '../differ/fuzz.ts';
import type { Coverage } from './coverage.ts';

/** A parser of data from outside. */
export interface Target {
  readonly name: string;
  /** Valid inputs, made by the test. */
  readonly seeds: () => readonly (string | Uint8Array)[];
  /** Parts of the format that mutations insert. */
  readonly words?: readonly string[];
  /** Reads an input; it returns, or throws an error of the catalogue. */
  readonly read: (bytes: Buffer) => unknown;
  /** One long valid input of about this many bytes, if a file of the format can be long; see growth.test.ts. */
  readonly long?: (bytes: number) => string | Uint8Array;
}

export interface Result {
  readonly runs: number;
  /** Inputs in the corpus at the end. */
  readonly kept: number;
  /** Features of the code that were reached. */
  readonly features: number;
}

type Next = (below: number) => number;

/** No input needs more processor time than this (milliseconds), however busy the machine. */
const LONGEST = 2000;
const LARGEST = 1 << 16;
const BATCH = 16;
const LARGEST_CORPUS = 400;

/**
 * Runs a target for some milliseconds of processor time, at least for all of its seeds. Throws an error that names target, seed and input if the target throws
 * anything but an error of the catalogue, or takes too long.
 */
export async function fuzz(target: Target, seed: number, milliseconds: number, coverage: Coverage): Promise<Result> {
  const next = numbers(seed);
  const seen = new Set<string>();
  const corpus: Buffer[] = [];
  let runs = 0;
  /** Runs inputs; true if they reached something new. Asking for coverage takes longer than most inputs, so it is asked for many at once. */
  const attempt = async (inputs: readonly Buffer[]): Promise<boolean> => {
    for (const input of inputs) await tryOne(target, input, seed);
    runs += inputs.length;
    const fresh = coverage.take().features.filter((feature) => !seen.has(feature));
    for (const feature of fresh) seen.add(feature);
    return fresh.length > 0;
  };
  coverage.take();
  for (const one of target.seeds()) {
    corpus.push(Buffer.from(one));
    await attempt([corpus.at(-1)!]);
  }
  const start = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(start);
    if ((user + system) / 1000 >= milliseconds) break;
    const inputs = Array.from({ length: BATCH }, () => {
      // Half of the time one of the newest, which reached something that the older did not.
      const from = next(2) === 0 ? next(corpus.length) : corpus.length - 1 - next(Math.min(8, corpus.length));
      return mutate(corpus[from]!, corpus, target.words ?? [], next);
    });
    // Which of them it was does not matter much: the shortest are the best to go on with.
    if (await attempt(inputs)) corpus.push(...inputs.sort((a, b) => a.length - b.length).slice(0, 4), inputs.at(-1)!);
    if (corpus.length > LARGEST_CORPUS) corpus.splice(target.seeds().length, corpus.length - LARGEST_CORPUS);
  }
  return { runs, kept: corpus.length, features: seen.size };
}

async function tryOne({ name, read }: Target, input: Buffer, seed: number): Promise<void> {
  const before = process.cpuUsage();
  const finding = (what: string, cause?: unknown): Error =>
    new Error(`${name}, seed ${seed}: ${what}\ninput (base64): ${input.toString('base64')}`, { cause });
  try {
    await read(Buffer.from(input));
  } catch (error) {
    if (!(error instanceof KpatchError)) throw finding(`it threw ${error}`, error);
    if (error.code === 'internal') throw finding(`it ended as an internal error: ${error.message}`, error);
  }
  const { user, system } = process.cpuUsage(before);
  if ((user + system) / 1000 > LONGEST) throw finding(`it took ${Math.round((user + system) / 1000)} ms`);
}

const numbersOfInterest = ['0', '-1', '1', '255', '65535', '4294967295', '9007199254740993', '1e999', '0x7fffffff'];

/** One to four changes of a copy. */
function mutate(from: Buffer, corpus: readonly Buffer[], words: readonly string[], next: Next): Buffer {
  let bytes: Buffer = Buffer.from(from);
  for (let left = 1 + next(4); left > 0; left--) bytes = changed(bytes, corpus, words, next);
  return bytes.subarray(0, LARGEST);
}

function changed(bytes: Buffer, corpus: readonly Buffer[], words: readonly string[], next: Next): Buffer {
  const at = next(bytes.length + 1);
  const length = 1 + next(Math.min(64, bytes.length - at + 1));
  const insert = (what: Uint8Array): Buffer => Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at)]);
  switch (next(9)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 2:
      return insert(Buffer.from(Array.from({ length: 1 + next(8) }, () => next(256))));
    case 3:
      return insert(bytes.subarray(at, at + length));
    case 4:
      return insert(Buffer.from(words.length === 0 ? numbersOfInterest[next(9)]! : words[next(words.length)]!));
    case 5: {
      const other = corpus[next(corpus.length)]!;
      return Buffer.concat([bytes.subarray(0, at), other.subarray(next(other.length + 1))]);
    }
    case 6:
      return insert(Buffer.from(numbersOfInterest[next(numbersOfInterest.length)]!));
    case 7:
      return insert(Buffer.alloc(1 + next(2000), at < bytes.length ? bytes.subarray(at, at + 1 + next(4)) : 'a'));
    default:
      if (at < bytes.length) bytes[at] = next(2) === 0 ? bytes[at]! ^ (1 << next(8)) : next(256);
      return bytes;
  }
}
