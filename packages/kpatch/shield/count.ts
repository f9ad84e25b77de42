/**
 * Who calls a function on this machine now: ftrace counts in an instance of its own, so other users of tracing notice nothing.
 * It needs root and works only for the running kernel.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Users {
  readonly counted: boolean;
  /** Why it was not counted. */
  readonly why?: string;
  readonly seconds?: number;
  readonly calls?: number;
  /** Calls by the name of the task. */
  readonly by?: readonly { readonly comm: string; readonly calls: number }[];
}

/** Lines of the trace that are read at most. */
const MOST = 16 * 1024 * 1024;

/**
 * Counts the calls of `name` for the given time. `root` is the root of the file system. Never throws: `why` says what prevented it.
 */
export async function countUsers(
  name: string,
  seconds: number,
  target: { readonly release: string; readonly running: string; readonly root?: string; readonly uid?: number },
): Promise<Users> {
  const uid = target.uid ?? process.getuid?.() ?? -1;
  if (target.release !== target.running) return missed(`this machine runs ${target.running}`);
  if (uid !== 0) return missed('it needs root');
  const tracing = join(target.root ?? '/', 'sys/kernel/tracing');
  if (!existsSync(join(tracing, 'instances'))) return missed('ftrace is not available in /sys/kernel/tracing');
  const folder = join(tracing, 'instances', `kpatch-shield-${process.pid}`);
  try {
    mkdirSync(folder);
  } catch (error) {
    return missed(`ftrace: ${(error as Error).message}`);
  }
  try {
    writeFileSync(join(folder, 'set_ftrace_filter'), name);
    writeFileSync(join(folder, 'current_tracer'), 'function');
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    writeFileSync(join(folder, 'tracing_on'), '0');
    return { counted: true, seconds, ...tally(readFileSync(join(folder, 'trace'), 'latin1').slice(0, MOST)) };
  } catch (error) {
    return missed(`ftrace cannot trace ${name}: ${(error as Error).message}`);
  } finally {
    try {
      writeFileSync(join(folder, 'current_tracer'), 'nop');
      rmdirSync(folder);
    } catch {
      // What is left is an empty instance without a tracer.
    }
  }
}

function missed(why: string): Users {
  return { counted: false, why };
}

/** Reads lines such as `  bash-1234  [001] .....  12.345678: sys_foo <-do_syscall_64`. */
export function tally(trace: string): { calls: number; by: { comm: string; calls: number }[] } {
  const counts = new Map<string, number>();
  let calls = 0;
  for (const [, comm] of trace.matchAll(/^\s*(\S.*?)-\d+\s+(?:\([^)]*\)\s+)?\[\d+\]/gm)) {
    calls++;
    counts.set(comm!, (counts.get(comm!) ?? 0) + 1);
  }
  const by = [...counts].map(([comm, number]) => ({ comm, calls: number }));
  return { calls, by: by.sort((a, b) => b.calls - a.calls || (a.comm < b.comm ? -1 : 1)).slice(0, 20) };
}

/** What was counted, in one sentence without a full stop. */
export function usersText({ counted, why, seconds, calls, by }: Users): string {
  if (!counted) return `users of the function on the target were not counted: ${why}`;
  if (calls === 0) return `nobody called the function within ${seconds} s on this machine`;
  const named = (by ?? []).slice(0, 5).map((one) => `${one.comm} (${one.calls})`);
  return `the function was called ${calls} times within ${seconds} s on this machine, by ${named.join(', ')}: these calls may be refused`;
}
