/** How long units take to compile on this machine, from what was measured while kpatch compiled for this kernel. */
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import type { DocumentOf } from '../../documents/form.ts';
import { keptDocument } from '../../documents/kept.ts';

/** From this many compilations on, a person should know how long it takes. */
export const WIDE = 40;
/** Older measurements count less: the average is over about this many units. */
const WINDOW = 200;

export class CompileTime {
  readonly #file: string;

  /** `folder` is for what is derived from a kernel. */
  constructor(folder: string) {
    this.#file = join(folder, 'compile-time.json');
  }

  /** Milliseconds that one compiler takes for a unit, on average; undefined if nothing was measured yet. */
  get unitMs(): number | undefined {
    return this.#read()?.unitMs;
  }

  /** Records that `count` units took `ms` with `jobs` compilers at once. */
  record(count: number, ms: number, jobs: number): void {
    if (count === 0) return;
    const now = (ms * Math.min(jobs, count)) / count;
    const before = this.#read();
    const old = Math.min(before?.units ?? 0, Math.max(0, WINDOW - count));
    const unitMs = ((before?.unitMs ?? 0) * old + now * count) / (old + count);
    const units = old + count;
    try {
      writeAtomically(this.#file, `${JSON.stringify({ unitMs: Math.round(unitMs), units })}\n`);
    } catch {
      // An estimate is no reason to fail.
    }
  }

  #read(): DocumentOf<'kpatch.compile-time'> | undefined {
    return keptDocument('kpatch.compile-time', this.#file);
  }
}

/** A sentence for the user: how many compilations, and how long they will take. */
export function describeWide(units: number, compilations: number, unitMs: number | undefined, jobs: number): string {
  const what = `${units} units to compile, ${compilations} compilations with the original versions that are not cached`;
  if (unitMs === undefined) return `${what}; nothing was measured on this machine yet`;
  const each = `${(unitMs / 1000).toFixed(1)} s each, ${jobs} at once, measured on this machine`;
  return `${what}: about ${duration((compilations * unitMs) / jobs)} (${each})`;
}

/** Milliseconds as people say it: `50 s`, `12 min`, `3 h 20 min`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
