/** Options and output shared by the commands that work on one machine. */
import { type Command, InvalidArgumentError } from 'commander';
import type { AdmitOptions } from '../../host/acceptance/acceptance.ts';
import type { Finding } from '../../host/fit.ts';
import type { LoadOptions, LoadResult } from '../../host/live/load.ts';
import { type Machine, thisMachine } from '../../host/machine/machine.ts';
import { withRoot } from '../root-option.ts';

export interface ProofOptions {
  readonly requireProof?: boolean;
  readonly proof?: string;
  readonly proofKey?: readonly string[];
}

export interface HostOptions {
  readonly root?: string;
}

export interface TransitionOptions extends HostOptions {
  /** Seconds. */
  readonly wait?: number;
  readonly leave?: boolean;
  readonly downgrade?: boolean;
  readonly dryRun?: boolean;
}

export interface AcceptOptions extends TransitionOptions, ProofOptions {}

/** How long a command waits for the lock. */
export const LOCK_WAIT_MS = 10_000;

/** Adds `--json` and `--root`, for all host commands. */
export function withHostOptions(command: Command): Command {
  return withRoot(command.option('--json', 'print JSON'));
}

function withWaitOptions(command: Command): Command {
  return command
    .option('--wait <seconds>', 'time limit for the transition (default: 75)', seconds)
    .option('--leave', 'after the time limit, leave the transition running instead of reversing it')
    .option('-n, --dry-run', 'check everything and print what would be done, but change nothing');
}

/** Adds those, `--wait`, `--leave` and `--dry-run`, for commands that start a transition. */
export function withTransitionOptions(command: Command): Command {
  return withHostOptions(withWaitOptions(command));
}

/** Adds `--require-proof`, `--proof` and `--proof-key`, for commands that take a module file. */
export function withProofOptions(command: Command): Command {
  return command
    .option('--require-proof', 'require a valid proof of this module on its kernel')
    .option('--proof <file>', 'proof file (default: MODULE.proof.json)')
    .option('--proof-key <file>', 'require that the proof is signed by this public key (PEM; repeatable)', collect);
}

/** Adds all of the above and `--downgrade`, for commands that accept and load a module. */
export function withLoadOptions(command: Command): Command {
  command.option('--downgrade', 'allow a lower version, another line, or replacing patches of unknown content');
  return withHostOptions(withProofOptions(withWaitOptions(command)));
}

/** What a command asks for beyond the host policy. */
export function proofOptions({ requireProof, proof, proofKey }: ProofOptions): AdmitOptions {
  return {
    ...(requireProof === undefined ? {} : { requireProof }),
    ...(proof === undefined ? {} : { proof }),
    ...(proofKey === undefined ? {} : { proofKey }),
  };
}

export function machineOf(options: HostOptions): Machine {
  return thisMachine(options.root);
}

/** The command line options as `LoadOptions`. */
export function loadOptions(options: TransitionOptions): LoadOptions {
  return {
    ...(options.wait === undefined ? {} : { waitMs: options.wait * 1000 }),
    onStall: options.leave ? 'leave' : 'revert',
    downgrade: options.downgrade ?? false,
  };
}

/** The options of `withLoadOptions`, as installing and loading take them. */
export function acceptOptions(options: AcceptOptions): LoadOptions & AdmitOptions {
  return { ...loadOptions(options), ...proofOptions(options) };
}

/** The findings of the checks before a load, one per line; passed checks only with `all`. */
export function findingLines(findings: readonly Finding[], all = false): string[] {
  const marks = { fits: 'ok', warning: 'warning', unknown: 'unknown', refused: 'refused' } as const;
  return findings
    .filter(({ level }) => all || level !== 'fits')
    .map(({ check, level, text }) => `  ${marks[level].padEnd(10)} ${check}: ${text}`);
}

/** The result of a load, for people. */
export function loadLines(result: LoadResult): string[] {
  if (result.outcome === 'fits') return [`${result.name} can be loaded:`, ...findingLines(result.findings, true)];
  if (result.outcome === 'already') return [`${result.name} is already loaded and active`];
  const lines = [`${result.name} is loaded and active (transition ${result.seconds.toFixed(1)} s)`];
  for (const old of result.replaced) lines.push(`it replaced ${old}`);
  return lines;
}

/** A table as lines, with padded columns. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), []);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0.1 || value > 86_400) {
    throw new InvalidArgumentError('It must be a number of seconds from 0.1 to 86400.');
  }
  return value;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
