/** The most memory that a piece of work had at once, as Linux counts it for the process (proc(5): clear_refs, VmHWM). */
import { readFileSync, writeFileSync } from 'node:fs';

/** Bytes by which resident memory rose above what it was before, at its highest, while `work` ran; and what `work` gave. */
export function peakOf<T>(work: () => T): { readonly result: T; readonly grown: number } {
  const before = field('VmRSS');
  writeFileSync('/proc/self/clear_refs', '5');
  const result = work();
  return { result, grown: Math.max(0, field('VmHWM') - before) };
}

function field(name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(found![1]) * 1024;
}
