/** What the commands of one machine have in common: their options, and how results are put in words. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Finding } from '../../host/fit.ts';
import type { LoadOptions, LoadResult } from '../../host/live/load.ts';
import { type Machine, thisMachine } from '../../host/machine/machine.ts';

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

/** How long a command waits for another one that holds the lock. */
export const LOCK_WAIT_MS = 10_000;

/** `--json` and `--root`, which every command of the host has. */
export function withHostOptions(command: Command): Command {
  return command
    .option('--json', 'one JSON document')
    .option('--root <folder>', 'work on the system below that folder');
}

/** `--wait`, `--leave` and `--dry-run`, for commands that start a transition. */
export function withTransitionOptions(command: Command): Command {
  return command
    .option('--wait <seconds>', 'how long the transition may take in all (default: 75)', seconds)
    .option('--leave', 'leave a transition running that takes longer, instead of taking it back')
    .option('-n, --dry-run', 'check everything and say what would be done, and do nothing');
}

/** `--require-proof` and `--proof-key`, for commands that take a module file. */
export function withProofOptions(command: Command): Command {
  return command
    .option('--require-proof', 'only with a valid proof of this very module on its kernel')
    .option('--proof <file>', 'the proof (default: MODULE.proof.json)')
    .option(
      '--proof-key <file>',
      'the proof must be signed by this public key (PEM); may be given several times',
      collect,
    );
}

export function machineOf(options: HostOptions): Machine {
  return thisMachine(options.root);
}

/** The options of a load as the host's functions take them. */
export function loadOptions(options: TransitionOptions): LoadOptions {
  return {
    ...(options.wait === undefined ? {} : { waitMs: options.wait * 1000 }),
    onStall: options.leave ? 'leave' : 'revert',
    downgrade: options.downgrade ?? false,
  };
}

/** What was found by the checks before a load, one line each; what fits is left out unless `all`. */
export function findingLines(findings: readonly Finding[], all = false): string[] {
  const marks = { fits: 'ok', warning: 'warning', unknown: 'not known', refused: 'refused' } as const;
  return findings
    .filter(({ level }) => all || level !== 'fits')
    .map(({ check, level, text }) => `  ${marks[level].padEnd(10)} ${check}: ${text}`);
}

/** How a load came out, for people. */
export function loadLines(result: LoadResult): string[] {
  if (result.outcome === 'fits') return [`${result.name} can be loaded:`, ...findingLines(result.findings, true)];
  if (result.outcome === 'already') return [`${result.name} is loaded and active already`];
  const lines = [`${result.name} is loaded and active (transition ${result.seconds.toFixed(1)} s)`];
  for (const old of result.replaced) lines.push(`it replaced ${old}`);
  return lines;
}

/** A table as lines: columns padded to their widest cell. */
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
    throw new InvalidArgumentError('it is a number of seconds from 0.1 to 86400.');
  }
  return value;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
