/** Running other programs: with a deadline, in a process group of their own, never left behind. */
import { spawn } from 'node:child_process';
import { interrupted, onExit } from './cleanup.ts';
import { fail } from './errors/error.ts';
import { packageOf } from './tools.ts';

export interface RunOptions {
  readonly cwd?: string;
  /** Added to the environment of this process; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds until the program is killed and `timed-out` thrown; 10 minutes unless told. */
  readonly timeoutMs?: number;
  readonly input?: string | Uint8Array;
  /** Called with each complete line of standard output and error as it comes. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  readonly signal?: AbortSignal;
  /** The Debian package that has the program, for the error if it is missing; that of tools.ts unless told. */
  readonly packageName?: string;
}

export interface RunResult {
  /** Exit status, or 128 + signal number as shells count. */
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/**
 * Runs a program to its end, whatever its status.
 * Errors: `tool-missing` where it is not installed, `timed-out`, `interrupted`.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd, timeoutMs = 600_000 } = options;
  const signal = options.signal === undefined ? interrupted : AbortSignal.any([options.signal, interrupted]);
  const env = options.env === undefined ? process.env : { ...process.env, ...options.env };
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(fail('interrupted', { signal: String(signal.reason) }));
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    const kill = (): void => {
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const forget = onExit(kill);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const lines = { stdout: lineSplitter('stdout', options.onLine), stderr: lineSplitter('stderr', options.onLine) };
    let ending: (() => Error) | undefined;
    const end = (why: () => Error): void => {
      ending ??= why;
      kill();
    };
    const timer = setTimeout(() => {
      end(() => fail('timed-out', { command: commandLine(command, args), seconds: timeoutMs / 1000 }));
    }, timeoutMs);
    const onAbort = (): void => end(() => fail('interrupted', { signal: String(signal.reason) }));
    signal.addEventListener('abort', onAbort, { once: true });
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      forget();
    };
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      lines.stdout(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr.push(chunk);
      lines.stderr(chunk);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      done();
      const missing = error.code === 'ENOENT';
      const params = { tool: command, package: options.packageName ?? packageOf(command) };
      reject(missing ? fail('tool-missing', params, { cause: error }) : error);
    });
    child.on('close', (code, name) => {
      done();
      lines.stdout();
      lines.stderr();
      if (ending !== undefined) return reject(ending());
      const status = code ?? 128 + (name === 'SIGKILL' ? 9 : name === 'SIGSEGV' ? 11 : 15);
      resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin.on('error', () => {}); // a program need not read all of its input
    child.stdin.end(options.input ?? '');
  });
}

/** As `run`, and any status but 0 is the error `tool-failed`. */
export async function runOk(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.status === 0) return result;
  const said = `${result.stderr}${result.stdout.subarray(-4000).toString()}`;
  throw fail(
    'tool-failed',
    { command: commandLine(command, args), outcome: `status ${result.status}` },
    { detail: said.split('\n').slice(-40).join('\n') },
  );
}

/** Kills a process and all that it started in its group; a group that is gone is no error. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // gone already
  }
}

function commandLine(command: string, args: readonly string[]): string {
  const line = [command, ...args].join(' ');
  return line.length > 200 ? `${line.slice(0, 197)}...` : line;
}

function lineSplitter(stream: 'stdout' | 'stderr', onLine: RunOptions['onLine']): (chunk?: Buffer) => void {
  if (onLine === undefined) return () => {};
  let rest = '';
  return (chunk) => {
    const lines = (rest + (chunk?.toString() ?? '')).split('\n');
    rest = chunk === undefined ? '' : (lines.pop() ?? '');
    for (const line of lines) if (line !== '' || chunk !== undefined) onLine(line, stream);
  };
}
