/** What one program in a sandbox may use at most (setrlimit(2)); far above what the largest file of a kernel needs. */
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

/** The command line of prlimit(1). Without a sandbox the processes of the user are not counted: they are the user's own. */
export function limitCommand(counted: boolean): string[] {
  const settings = { ...limits, ...(counted ? { nproc: PROCESSES } : {}) };
  return ['prlimit', ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`), '--'];
}
