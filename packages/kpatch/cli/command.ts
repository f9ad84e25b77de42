/** How every command runs: parse, call, print, exit status. A command's file holds its options and its texts, no more. */
import type { Command } from 'commander';
import { type ExitStatus, fail, KpatchError, renderError } from '../base/errors/error.ts';
import { jsonText, print, printError } from '../base/print.ts';
import { consoleReporter, type Reporter, silentReporter } from '../base/report.ts';
import { useSandbox } from '../sandbox/policy.ts';

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
    const options = { ...command.optsWithGlobals(), ...(all.pop() as object) } as O & {
      json?: boolean;
      sandbox?: boolean;
    };
    const json = options.json === true;
    if (options.sandbox === false) useSandbox(false);
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
    if (text !== '') print(text.endsWith('\n') ? text : `${text}\n`);
    return;
  }
  print(`${jsonText({ schema, warnings: report.warnings, ...data }, 2)}\n`);
}

/** Prints any error as the catalogue's, sets the exit status. */
export function printFailure(thrown: unknown, json: boolean): void {
  const error = thrown instanceof KpatchError ? thrown : internal(thrown);
  process.exitCode = error.exit;
  if (json) print(`${jsonText({ schema: 'kpatch.error/1', error }, 2)}\n`);
  else printError(`${renderError(error)}\n`);
}

function internal(thrown: unknown): KpatchError {
  const problem = thrown instanceof Error ? thrown.message : String(thrown);
  const detail = thrown instanceof Error ? (thrown.stack ?? '') : '';
  return fail('internal', { problem }, { detail, cause: thrown });
}
