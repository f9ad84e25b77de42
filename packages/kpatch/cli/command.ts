/** How every command runs: parse, call, print, exit status. A command's file holds its options and its texts, no more. */
import type { Command } from 'commander';
import { type ExitStatus, fail, KpatchError, renderError } from '../base/errors/error.ts';
import { consoleReporter, type Reporter, silentReporter } from '../base/report.ts';

/** What a command is given beside its own arguments. */
export interface Context {
  readonly report: Reporter;
  /** True where `--json` was given: nothing but the one document may go to standard output. */
  readonly json: boolean;
}

/** What a command hands back: the text for people, the data for programs (one document, named by its schema). */
export interface Outcome {
  readonly exit?: ExitStatus;
  /** Name and version of the document's schema, as `kpatch.build/1`; described in `docs/json.md`. */
  readonly schema: string;
  readonly data: object;
  readonly text: string;
}

/** A file of `cli/`: adds its command to the program. */
export interface CommandFile {
  register(program: Command): void;
}

/**
 * Makes the action of a command: `run` gets the context, the positional arguments and the options.
 * Any error ends as one message (or, with `--json`, one document) and its exit status.
 */
export function action<O extends object, A extends readonly unknown[]>(
  run: (context: Context, options: O, ...args: A) => Promise<Outcome> | Outcome,
): (...all: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.pop() as Command;
    const options = { ...command.optsWithGlobals(), ...(all.pop() as object) } as O & { json?: boolean };
    const json = options.json === true;
    const report = json ? silentReporter() : consoleReporter();
    try {
      const outcome = await run({ report, json }, options, ...(all as unknown as A));
      printOutcome(outcome, json, report);
    } catch (error) {
      printFailure(error, json);
    }
  };
}

function printOutcome(outcome: Outcome, json: boolean, report: Reporter): void {
  const { exit = 0, schema, data, text } = outcome;
  process.exitCode = exit;
  if (!json) {
    if (text !== '') process.stdout.write(printable(text.endsWith('\n') ? text : `${text}\n`));
    return;
  }
  process.stdout.write(`${toJSON({ schema, warnings: report.warnings, ...data })}\n`);
}

/** Prints any error as the catalogue's, sets the exit status. */
export function printFailure(thrown: unknown, json: boolean): void {
  const error = thrown instanceof KpatchError ? thrown : internal(thrown);
  process.exitCode = error.exit;
  if (json) process.stdout.write(`${toJSON({ schema: 'kpatch.error/1', error })}\n`);
  else process.stderr.write(`${printable(renderError(error))}\n`);
}

/** What modules, mirrors and other programs say of themselves must not steer the terminal that shows it. */
function printable(text: string): string {
  return text.replaceAll('\r', '').replace(/[^\P{Cc}\n\t]/gu, '\u{fffd}');
}

function internal(thrown: unknown): KpatchError {
  const problem = thrown instanceof Error ? thrown.message : String(thrown);
  const detail = thrown instanceof Error ? (thrown.stack ?? '') : '';
  return fail('internal', { problem }, { detail, cause: thrown });
}

function toJSON(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `0x${item.toString(16)}` : item), 2);
}
