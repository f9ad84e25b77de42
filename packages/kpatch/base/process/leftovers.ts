/**
 * Removes temporary files and folders left by killed processes. The name of each contains its owner, so that the next process
 * that works in the same folder recognises and removes those whose owner is gone.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Identifies this process: its PID, its start time, and the last digits of its PID namespace. */
export const ownerMark = `${process.pid.toString(36)}.${beginOf(process.pid) ?? '0'}.${namespaceMark()}`;

const marked = /^(?:kpatch-|\.).*[-.]([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)(?:-\w{6}|\.[0-9a-f]{12}\.tmp)$/;

const swept = new Set<string>();

/** Removes what dead processes left in this folder, once per process. Never throws: what cannot be removed stays. */
export function sweep(folder: string): void {
  if (swept.has(folder)) return;
  swept.add(folder);
  for (const name of namesIn(folder)) {
    if (!isAbandoned(name)) continue;
    try {
      const path = join(folder, name);
      if (lstatSync(path).uid === process.getuid?.()) rmSync(path, { recursive: true, force: true, maxRetries: 2 });
    } catch {
      // A program that outlived its kpatch may still write there; a later run removes it.
    }
  }
}

/** True for the name of a temporary file or folder whose owner is gone. */
export function isAbandoned(name: string): boolean {
  const [, pid, begin, namespace] = marked.exec(name) ?? [];
  if (pid === undefined || namespace !== namespaceMark()) return false; // unknown for another container
  return beginOf(Number.parseInt(pid, 36)) !== begin;
}

/** Start time of a process in clock ticks since boot (proc(5), stat, field 22); undefined if it does not exist. */
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
