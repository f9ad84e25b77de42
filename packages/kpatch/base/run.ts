/** Runs other programs: with a timeout, in their own process group, never left behind. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { failure } from './errors/error.ts';
import { interrupted, onExit } from './process/cleanup.ts';
import { packageOf } from './process/tools.ts';

export interface RunOptions {
  readonly cwd?: string;
  /** Added to the environment of this process; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds until the program is killed and `timed-out` thrown (default: 10 minutes). */
  readonly timeoutMs?: number;
  readonly input?: string | Uint8Array;
  /** Limit for standard output and standard error together, bytes (default: 1 GiB). */
  readonly maxOutput?: number;
  /** Called with each complete line of standard output and error. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  readonly signal?: AbortSignal;
  /** The Debian package that has the program, for the error if it is missing (default: that of tools.ts). */
  readonly packageName?: string;
  /** Files that the program gets opened for reading, from file descriptor 3 on. */
  readonly inherit?: readonly string[];
  /** The command line to show in messages, if it differs from the real one. */
  readonly shown?: readonly string[];
}

export interface RunResult {
  /** Exit status, or 128 plus the signal number, as in a shell. */
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const MAX_OUTPUT = 2 ** 30;

/**
 * Runs a program until it exits, with any status.
 * Errors: `tool-missing` if it is not installed, `timed-out`, `interrupted`, `output-too-large`.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd, timeoutMs = 600_000, maxOutput = MAX_OUTPUT, shown = [command, ...args] } = options;
  const signal = options.signal === undefined ? interrupted : AbortSignal.any([options.signal, interrupted]);
  const env = options.env === undefined ? process.env : { ...process.env, ...options.env };
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(failure('interrupted', { signal: String(signal.reason) }));
    using files = openFiles(options.inherit ?? []);
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe', ...files.numbers] });
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
      end(() => failure('timed-out', { command: commandLine(shown), seconds: timeoutMs / 1000 }));
    }, timeoutMs);
    const onAbort = (): void => end(() => failure('interrupted', { signal: String(signal.reason) }));
    signal.addEventListener('abort', onAbort, { once: true });
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      forget();
    };
    let printed = 0;
    /** False once the program has printed more than it may: a small archive can unpack to more than the memory holds. */
    const fits = (chunk: Buffer): boolean => {
      printed += chunk.length;
      if (printed <= maxOutput) return true;
      end(() => failure('output-too-large', { command: commandLine(shown), bytes: maxOutput }));
      return false;
    };
    child.stdout!.on('data', (chunk: Buffer) => {
      if (!fits(chunk)) return;
      stdout.push(chunk);
      lines.stdout(chunk);
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      if (!fits(chunk)) return;
      stderr.push(chunk);
      lines.stderr(chunk);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      done();
      const missing = error.code === 'ENOENT';
      const params = { tool: command, package: options.packageName ?? packageOf(command) };
      reject(missing ? failure('tool-missing', params, { cause: error }) : error);
    });
    child.on('close', (code, name) => {
      done();
      lines.stdout();
      lines.stderr();
      if (ending !== undefined) return reject(ending());
      const status = code ?? 128 + (name === 'SIGKILL' ? 9 : name === 'SIGSEGV' ? 11 : 15);
      resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin!.on('error', () => {}); // a program may exit without reading all of its input
    child.stdin!.end(options.input ?? '');
  });
}

/** Opened files as `stdio` takes them. They are closed here once the program has them. */
export function openFiles(paths: readonly string[]): Disposable & { readonly numbers: readonly number[] } {
  const numbers = paths.map((path) => openSync(path, 'r'));
  return { numbers, [Symbol.dispose]: () => numbers.forEach((fd) => void closeSync(fd)) };
}

/** Like `run`, but any status except 0 throws `tool-failed`. */
export async function runOk(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.status !== 0) throw toolFailed(command, args, result);
  return result;
}

/** The error `tool-failed` for a program that exited with a status other than 0. */
export function toolFailed(command: string, args: readonly string[], result: RunResult): Error {
  const said = `${result.stderr}${result.stdout.subarray(-4000).toString()}`;
  return failure(
    'tool-failed',
    { command: commandLine([command, ...args]), outcome: `status ${result.status}` },
    { detail: said.split('\n').slice(-40).join('\n') },
  );
}

/** Kills a process and its process group; it is not an error if the group is gone. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // gone already
  }
}

function commandLine(words: readonly string[]): string {
  const line = words.join(' ');
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
