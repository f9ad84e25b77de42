/** What one program in a sandbox may use at most (setrlimit(2)); far above what the largest file of a kernel needs. */
import { readFileSync } from 'node:fs';
import { once } from '../base/once.ts';

const GIB = 2 ** 30;

const limits = {
  core: 0,
  /** Address space of one process. The largest compilers and linkers of a kernel build stay below 4 GiB. */
  as: 16 * GIB,
  /** One file. */
  fsize: 8 * GIB,
  nofile: 16_384,
  /** Seconds of processor time of one process. */
  cpu: 7200,
} as const;

/** Processes of the sandbox's user: a make with a job for each processor, and what compilers start. */
const PROCESSES = 8192;

/** Size of a private /tmp (bytes). */
export const TMP_SIZE = 4 * GIB;

/** Limits of one process that are narrower than the usual ones. */
export interface ProcessLimits {
  /** The largest file that it may write (bytes). */
  readonly fileBytes?: number;
  /** Its address space (bytes). */
  readonly addressBytes?: number;
  /** Its processor time (seconds). */
  readonly cpuSeconds?: number;
  /** Processes of the sandbox's user. */
  readonly processes?: number;
}

/**
 * The command line of prlimit(1). Without a sandbox the processes of the user are not counted: they are the user's own. A
 * virtual machine has as much memory as its guest and runs as long.
 */
export function limitCommand(counted: boolean, guest = false, narrower: ProcessLimits = {}): string[] {
  const { fileBytes, addressBytes, cpuSeconds, processes } = narrower;
  const common = { core: limits.core, fsize: fileBytes ?? limits.fsize, nofile: limits.nofile };
  const as = addressBytes ?? limits.as;
  const cpu = cpuSeconds ?? limits.cpu;
  const settings = { ...common, ...(guest ? {} : { as, cpu }), ...(counted ? { nproc: processes ?? PROCESSES } : {}) };
  const allowed = hardLimits();
  const words = Object.entries(settings).map(
    ([name, value]) => `--${name}=${Math.min(value, allowed.get(name) ?? value)}`,
  );
  return ['prlimit', ...words, '--'];
}

/** Names of limits as prlimit(1) has them, by their names in /proc/PID/limits (proc(5)). */
const names: Readonly<Record<string, string>> = {
  'Max core file size': 'core',
  'Max address space': 'as',
  'Max file size': 'fsize',
  'Max open files': 'nofile',
  'Max cpu time': 'cpu',
  'Max processes': 'nproc',
};

/** What this process may ask for at most: only the privileged raise a hard limit. */
const hardLimits = once((): ReadonlyMap<string, number> => {
  const found = new Map<string, number>();
  try {
    for (const line of readFileSync('/proc/self/limits', 'latin1').split('\n')) {
      const [, name = '', hard] = /^(\S.*?\S) {2,}\S+ +(\d+) /.exec(line) ?? [];
      if (names[name] !== undefined) found.set(names[name], Number(hard));
    }
  } catch {
    // without /proc nothing is known, and prlimit says what is wrong
  }
  return found;
});
