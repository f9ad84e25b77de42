/**
 * Runs one program in a sandbox of bubblewrap: without network, without privileges, seeing the toolchain and what its view
 * names. Nothing that it starts outlives it, so files do not change while kpatch reads them between two programs.
 *
 * Root makes the namespaces itself and gives up its user number inside, before anything foreign runs: no user namespace is
 * needed, and folders that only root can reach can be shown. Everybody else needs unprivileged user namespaces.
 */
import { type StdioOptions, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { failure, KpatchError } from '../base/errors/error.ts';
import { once } from '../base/once.ts';
import { packageOf } from '../base/process/tools.ts';
import { openFiles, type RunOptions, type RunResult, run, toolFailed } from '../base/run.ts';
import { isSandboxed } from '../base/workspace.ts';
import { filterFile } from './filter.ts';
import { limitCommand, type ProcessLimits, TMP_SIZE } from './limits.ts';
import { scopeCommand, scopeFailed } from './scope.ts';
import { sandboxUser } from './user.ts';
import { toolFolders, type View, viewArguments } from './view.ts';

export interface SandboxOptions extends RunOptions {
  readonly view: View;
  /** The folder that the program starts in; `/` where it is not given. */
  readonly cwd?: string;
  /** Its whole environment, but for PATH, HOME and TMPDIR, which are always there. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Narrower limits than those of `limits.ts`. */
  readonly limits?: ProcessLimits;
  /** Size of the private /tmp (bytes); 4 GiB where it is not given. It is memory of this machine. */
  readonly tmpBytes?: number;
  /** A command that runs outside, around the sandbox: the one that holds a lock. */
  readonly around?: readonly string[];
}

/** False once bubblewrap has turned out to be older than 0.8. */
let modern = true;

/**
 * Runs a program to its end, whatever its status.
 * Errors: those of `run`; `sandbox-unavailable` if this machine has no sandbox and the user did not do without.
 */
export async function sandboxed(command: string, args: readonly string[], options: SandboxOptions): Promise<RunResult> {
  const line = commandLine(command, args, options);
  const { view: _view, around: _around, tmpBytes: _tmp, limits: _limits, ...rest } = options;
  const result = await run(line.program, line.args, { ...rest, ...line.options }).catch((error: unknown) => {
    throw isSandboxed() && isMissing(error) ? notInstalled() : error;
  });
  return looked(result) ?? (await sandboxed(command, args, options));
}

/** Like `sandboxed` for a program of milliseconds, where waiting for it is not an option. Standard error is not kept. */
export function sandboxedSync(
  command: string,
  args: readonly string[],
  options: Pick<SandboxOptions, 'view' | 'input'>,
): { readonly status: number; readonly stdout: string } {
  const line = commandLine(command, args, options);
  const { input = '' } = options;
  using files = openFiles(line.options.inherit ?? []);
  const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', ...files.numbers];
  const settings = { ...line.options, input, stdio, timeout: 30_000, maxBuffer: 1 << 24 };
  const { status, stdout, stderr, error } = spawnSync(line.program, line.args, settings);
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') throw notInstalled();
  const result = { status: status ?? 1, stdout, stderr: stderr.toString() };
  const kept = looked(result);
  return kept === undefined ? sandboxedSync(command, args, options) : { status: kept.status, stdout: `${stdout}` };
}

/** Makes sure, once, that there is a sandbox here, for callers that start a program themselves. Error: `sandbox-unavailable`. */
export const requireSandbox = once(async (): Promise<void> => {
  await sandboxedOk('true', [], { view: {} });
});

/** What a sandbox for a virtual machine has that others have not. */
export interface GuestNeeds {
  /** Device files that it may use. */
  readonly devices: readonly string[];
  /** True if the guest may use the network of this machine. */
  readonly network: boolean;
  /** A file descriptor to which bubblewrap writes the number of the process that began in the sandbox, as JSON. */
  readonly informant: number;
}

/** What is really started. */
export interface CommandLine {
  readonly program: string;
  readonly args: string[];
  readonly options: {
    readonly cwd?: string;
    readonly env: Record<string, string | undefined>;
    readonly shown: readonly string[];
    readonly inherit?: readonly string[];
  };
}

/** The command line that runs a program in the sandbox, for a caller that starts it itself. */
export function commandLine(
  command: string,
  args: readonly string[],
  options: SandboxOptions,
  guest?: GuestNeeds,
): CommandLine {
  const { view, around = [], cwd, tmpBytes = TMP_SIZE } = options;
  const env = environmentOf(options.env ?? {});
  const shown = [command, ...args];
  const scope = guest === undefined ? scopeCommand() : [];
  if (!isSandboxed()) {
    if (view.buildRoot !== undefined) throw failure('build-root-sandbox', { folder: view.buildRoot });
    const [program, ...words] = [
      ...scope,
      ...around,
      ...limitCommand(false, guest !== undefined, options.limits),
      ...shown,
    ];
    return {
      program: program!,
      args: words,
      options: { ...(cwd === undefined ? {} : { cwd }), env: exactly(env), shown },
    };
  }
  const programs = [command, ...args.filter((word) => /^[A-Z]+=/.test(word)), ...programsOf(env)];
  // A build root has all programs in /usr.
  const tools = view.buildRoot === undefined ? toolFolders(programs, env.PATH!) : [];
  if (view.buildRoot !== undefined) env.PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
  const seen = viewArguments(view, tools, modern ? tmpBytes : undefined);
  const devices = guest?.devices ?? [];
  const more = devices.flatMap((device) => ['--dev-bind', device, device]);
  if (guest !== undefined) more.push('--info-fd', String(guest.informant));
  // A virtual machine has a filter of its own.
  const filter = guest === undefined ? filterFile() : undefined;
  const outer = [
    ...scope,
    ...around,
    'bwrap',
    ...(filter === undefined ? [] : ['--seccomp', '3']),
    ...isolation(guest?.network),
    ...seen,
    ...(guest === undefined ? anonymous : []),
    ...more,
    '--chdir',
    cwd ?? '/',
    '--',
  ];
  const [program, ...words] = [
    ...outer,
    ...limitCommand(true, guest !== undefined, options.limits),
    ...givingUpRights(devices.map((device) => statSync(device).gid)),
    ...shown,
  ];
  const inherit = filter === undefined ? [] : [filter];
  return { program: program!, args: words, options: { cwd: '/', env: exactly(env), shown, inherit } };
}

/**
 * The result, unless it is that of the sandbox itself; undefined if the program must be started again for an older
 * bubblewrap or without systemd. Errors: `sandbox-unavailable`, `tool-missing`.
 */
function looked(result: RunResult): RunResult | undefined {
  if (result.status !== 0 && scopeFailed(result.stderr)) return undefined;
  if (isSandboxed() && result.status !== 0) {
    if (/^flock: .*bwrap/m.test(result.stderr)) throw notInstalled();
    const problem = /^(?:bwrap|setpriv|prlimit): (?!failed to execute).*/m.exec(result.stderr)?.[0];
    if (problem !== undefined && modern && /Unknown option --(?:size|disable-userns)/.test(problem)) {
      modern = false;
      return undefined;
    }
    if (problem !== undefined) throw unavailable(explained(problem));
  }
  // prlimit and setpriv say so where the program that they should start is not there.
  const tool = /^(?:prlimit|setpriv): failed to execute (\S+): No such file/m.exec(result.stderr)?.[1];
  if (result.status === 127 && tool !== undefined) throw failure('tool-missing', { tool, package: packageOf(tool) });
  return result;
}

/** Like `sandboxed`, and any status but 0 is the error `tool-failed`. */
export async function sandboxedOk(
  command: string,
  args: readonly string[],
  options: SandboxOptions,
): Promise<RunResult> {
  const result = await sandboxed(command, args, options);
  if (result.status !== 0) throw toolFailed(command, args, result);
  return result;
}

const namespaces = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try'];

/** What a program can read of this machine would be in the module if a source includes it as a file. */
const anonymous = ['--hostname', 'kpatch', '--tmpfs', '/proc/sys'];

function isolation(network = false): string[] {
  const apart = namespaces.filter((name) => !network || name !== '--unshare-net');
  const common = [...apart, '--die-with-parent', '--new-session', '--cap-drop', 'ALL'];
  if (sandboxUser() === undefined) return ['--unshare-user', ...(modern ? ['--disable-userns'] : []), ...common];
  // What setpriv needs to become another user; it keeps nothing of it.
  return [...common, ...['SETUID', 'SETGID', 'SETPCAP'].flatMap((name) => ['--cap-add', `CAP_${name}`])];
}

/** `groups` are those of devices that it may use. */
function givingUpRights(groups: readonly number[]): string[] {
  const user = sandboxUser();
  if (user === undefined) return [];
  const numbers = [
    `--reuid=${user}`,
    `--regid=${user}`,
    groups.length === 0 ? '--clear-groups' : `--groups=${groups.join(',')}`,
  ];
  return ['setpriv', ...numbers, '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'];
}

function environmentOf(given: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const set = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const path = process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return { PATH: path, TMPDIR: '/tmp', ...Object.fromEntries(set), HOME: '/tmp' };
}

/** The variables for `run`, which adds them to those of this process: all others are taken away. */
function exactly(env: Readonly<Record<string, string>>): Record<string, string | undefined> {
  return { ...Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined])), ...env };
}

/** The compiler and its tools that kbuild's variables name. */
function programsOf(env: Readonly<Record<string, string>>): string[] {
  return ['CC', 'LD', 'AR', 'HOSTCC'].flatMap((name) => env[name] ?? []);
}

function isMissing(error: unknown): boolean {
  return error instanceof KpatchError && error.code === 'tool-missing' && error.message.includes('`bwrap`');
}

function notInstalled(): Error {
  return unavailable('bubblewrap (the program bwrap) is not installed');
}

function unavailable(reason: string): Error {
  return failure('sandbox-unavailable', { reason });
}

/** bwrap names the system call that failed; why it failed is known for these. */
function explained(message: string): string {
  const text = message.replace(/^bwrap: /, '');
  if (!rootIsMount()) return `bubblewrap does not work in a chroot (${text})`;
  if (/user namespace|uid map|Operation not permitted|Permission denied/i.test(text)) {
    return `this system or container does not allow this user to create namespaces (${text})`;
  }
  return `bubblewrap failed (${text})`;
}

/** False in a plain chroot: the table of mounts (proc(5), mountinfo, field 5) then has no entry for `/`. */
function rootIsMount(): boolean {
  try {
    return readFileSync('/proc/self/mountinfo', 'latin1')
      .split('\n')
      .some((line) => line.split(' ')[4] === '/');
  } catch {
    return true;
  }
}
