/**
 * What a killed process leaves: temporary files and folders that nobody removes any more. Each of them has its owner in its
 * name, so that the next process that works in the same folder can tell those whose owner is gone, and removes them.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Stands for this process: its number, when it began, and the last digits of its namespace of numbers. */
export const ownerMark = `${process.pid.toString(36)}.${beginOf(process.pid) ?? '0'}.${namespaceMark()}`;

const marked = /^(?:kpatch-|\.).*[-.]([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)(?:-\w{6}|\.[0-9a-f]{12}\.tmp)$/;

const swept = new Set<string>();

/** Removes what dead processes left in this folder; looks once a process. Never fails: what cannot be removed stays. */
export function sweep(folder: string): void {
  if (swept.has(folder)) return;
  swept.add(folder);
  for (const name of namesIn(folder)) {
    if (!isAbandoned(name)) continue;
    try {
      const path = join(folder, name);
      if (lstatSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true, maxRetries: 2 });
    } catch {
      // A program that outlived its kpatch may still write there; a later sweep gets it.
    }
  }
}

/** Whether the name is that of a temporary file or folder whose owner has ended. */
export function isAbandoned(name: string): boolean {
  const [, pid, begin, namespace] = marked.exec(name) ?? [];
  if (pid === undefined || namespace !== namespaceMark()) return false; // of another container one cannot tell
  return beginOf(Number.parseInt(pid, 36)) !== begin;
}

/** When a process began, in clock ticks since boot (proc(5), stat, field 22); undefined where there is none. */
function beginOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]).toString(36);
  } catch {
    return undefined;
  }
}

function namespaceMark(): string {
  try {
    const inode = Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 0);
    return (inode % 46_656).toString(36);
  } catch {
    return '0';
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
