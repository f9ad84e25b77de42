/** How long builds took on this machine, to say how long the next one will take. Losing the file loses nothing else. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { cacheRoot } from '../../base/workspace.ts';
import type { DocumentOf } from '../../documents/form.ts';
import { keptDocument } from '../../documents/kept.ts';

/** Measurements that are kept for each kernel. */
const KEPT = 9;

function file(): string {
  return join(cacheRoot(), 'timings.json');
}

type Timings = DocumentOf<'kpatch.timings'>;

const read = (): Timings => keptDocument('kpatch.timings', file()) ?? {};

/** Records a build: its whole duration and that of compiling, in milliseconds. Never throws. */
export function recordDuration(release: string, units: number, jobs: number, totalMs: number, compileMs: number): void {
  if (units === 0) return;
  const one = { unitMs: (compileMs * Math.min(jobs, units)) / units, restMs: Math.max(0, totalMs - compileMs) };
  const all = read();
  try {
    mkdirSync(dirname(file()), { recursive: true });
    writeAtomically(file(), JSON.stringify({ ...all, [release]: [...(all[release] ?? []), one].slice(-KEPT) }));
  } catch {
    // The cache may be read-only.
  }
}

/** Milliseconds that a build will take, from the medians of those measured; undefined if none was. */
export function expectedDuration(release: string, units: number, jobs: number): number | undefined {
  const measured = read()[release] ?? [];
  if (measured.length === 0) return undefined;
  const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
  const unitMs = median(measured.map((one) => one.unitMs));
  return Math.round(median(measured.map((one) => one.restMs)) + (unitMs * units) / Math.min(jobs, units));
}
