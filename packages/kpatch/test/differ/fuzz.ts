/**
 * Mutates objects and feeds them to the differ. Whatever the bytes are, it must end with a result or with an error of the
 * catalogue that says where, within the time and memory that the input's size justifies.
 */

import { KpatchError } from '#kpatch/base/errors/error.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffOptions } from '#kpatch/differ/options.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { optionsFor } from './fixture.ts';
import { peakOf } from './memory.ts';

export interface FuzzReport {
  readonly runs: number;
  readonly changed: number;
  readonly unchanged: number;
  readonly errors: number;
  /** Milliseconds of the slowest run. */
  readonly slowest: number;
  /** The most memory that one run took beside what was there before, in bytes. */
  readonly largest: number;
}

/** A run ends within this many milliseconds. */
const LONGEST = 2000;
/** How many times the size of its input a run may take, in memory. */
const FACTOR = 10;
/**
 * What the run-time takes whatever the input: its young generation, code that it compiles in the meantime, pages that it
 * keeps.
 */
const ALLOWANCE = 32 << 20;

/** A small generator of numbers that gives the same ones for the same seed (xorshift32). */
export function numbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % Math.max(1, below);
  };
}

const edges = [0, 1, 2, 0x7f, 0x80, 0xff, 0xfff1, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

type Next = (below: number) => number;

/** One mutation of a copy of the object's bytes. */
export function mutate(bytes: Uint8Array, file: ElfFile, next: Next): Uint8Array {
  const copy = new Uint8Array(bytes);
  const changes = 1 + next(3);
  for (let index = 0; index < changes; index++) {
    const kind = next(10);
    if (kind === 0) return copy.subarray(0, next(copy.length));
    if (kind === 1) poke(copy, next(64), next);
    else if (kind === 2) poke(copy, headerAt(file, next), next);
    else if (kind <= 6) inSection(copy, file, next, (type) => type === 2 || type === 3 || type === 4);
    else if (kind <= 8) inSection(copy, file, next, (type) => type === 1 || type === 17);
    else poke(copy, next(copy.length), next);
  }
  return copy;
}

function headerAt(file: ElfFile, next: Next): number {
  return Number(file.view.getBigUint64(40, file.littleEndian)) + next(file.sections.length * 64);
}

function inSection(copy: Uint8Array, file: ElfFile, next: Next, wanted: (type: number) => boolean): void {
  const sections = file.sections.filter(({ type, size }) => size > 0 && wanted(type));
  const section = sections[next(sections.length)];
  if (section !== undefined) poke(copy, section.offset + next(section.size), next);
}

/** Overwrites one byte, or an aligned word with a value at an edge. */
function poke(copy: Uint8Array, at: number, next: Next): void {
  if (next(2) === 0 || at + 8 > copy.length) copy[at] = next(256);
  else {
    const value = edges[next(edges.length)]!;
    const width = [2, 4, 8][next(3)]!;
    const start = at - (at % width);
    for (let index = 0; index < width; index++) copy[start + index] = index < 4 ? (value >>> (8 * index)) & 0xff : 0;
  }
}

/** Runs `count` mutations; throws at the first that breaks the rules, with the seed that makes it again. */
export function fuzz(bases: readonly Uint8Array[], count: number, seed: number): FuzzReport {
  const files = bases.map((bytes) => new ElfFile(bytes, 'base.o'));
  const options = bases.map((bytes) => optionsFor(bytes));
  const totals = { changed: 0, unchanged: 0, errors: 0 };
  let slowest = 0;
  let largest = 0;
  for (let run = 0; run < count; run++) {
    const next = numbers(seed + run * 2654435761);
    const which = next(bases.length);
    const mutated = mutate(bases[which]!, files[which]!, next);
    const pair = [
      [bases[which]!, mutated],
      [mutated, bases[which]!],
      [mutated, mutated],
    ][next(3)]!;
    const name = `seed ${seed + run * 2654435761}`;
    // Of the processor, as other work on the machine says nothing about the differ.
    const start = process.threadCpuUsage();
    const { result, grown } = peakOf(() => attempt(pair[0]!, pair[1]!, options[which]!, name));
    const { user, system } = process.threadCpuUsage(start);
    const took = (user + system) / 1000;
    totals[result]++;
    slowest = Math.max(slowest, took);
    largest = Math.max(largest, grown);
    if (took > LONGEST) throw new Error(`${name} took ${took.toFixed(0)} ms`);
    const limit = ALLOWANCE + FACTOR * (pair[0]!.length + pair[1]!.length);
    if (grown > limit) throw new Error(`${name} took ${grown} bytes, more than ${limit}`);
  }
  return { runs: count, ...totals, slowest, largest };
}

function attempt(
  original: Uint8Array,
  patched: Uint8Array,
  options: DiffOptions,
  name: string,
): 'changed' | 'unchanged' | 'errors' {
  try {
    const result = diff(original, patched, options);
    if (result.status === 'changed') intermediateObject(result.patch());
    return result.status === 'changed' ? 'changed' : 'unchanged';
  } catch (error) {
    if (!(error instanceof KpatchError)) throw new Error(`${name}: not an error of the catalogue`, { cause: error });
    if (error.code === 'internal') throw new Error(`${name}: internal error`, { cause: error });
    if (error.where.offset === undefined) throw new Error(`${name}: ${error.code} says not where`, { cause: error });
    return 'errors';
  }
}
