/** How every command runs: parse, call, print, exit status. The file of a command contains only its options and texts. */
import type { Command } from 'commander';
import { type ExitStatus, fail, KpatchError, renderError } from '../base/errors/error.ts';
import { jsonText, print, printError } from '../base/print.ts';
import { consoleReporter, type Reporter, silentReporter } from '../base/report.ts';
import type { Printed } from '../documents/registry.ts';
import { useSandbox } from '../sandbox/policy.ts';

/** What a command receives in addition to its own arguments. */
export interface Context {
  readonly report: Reporter;
  /** True with `--json`: standard output may contain nothing but one document. */
  readonly json: boolean;
}

/** What a command returns: text for people, and a document for programs. */
export type Outcome = { [Name in keyof Printed]: OutcomeOf<Name> }[keyof Printed];

interface OutcomeOf<Name extends keyof Printed> {
  readonly exit?: ExitStatus;
  /** Name and version of the document, such as `kpatch.build/1`, see docs/json.md. */
  readonly schema: Name;
  readonly data: Printed[Name];
  readonly text: string;
}

/** The interface of a command file in `cli/`: it adds its command to the program. */
export interface CommandFile {
  register(program: Command): void;
}

/**
 * Creates the action of a command: `run` gets the context, the options and the positional arguments.
 * It prints any error as one message (one document with `--json`) and sets its exit status.
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
      printFailure(error, json, report.warnings);
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

/** Prints any thrown value as an error of the catalogue and sets the exit status. */
export function printFailure(thrown: unknown, json: boolean, warnings: readonly string[] = []): void {
  const error = thrown instanceof KpatchError ? thrown : internal(thrown);
  process.exitCode = error.exit;
  if (json) print(`${jsonText({ schema: 'kpatch.error/1', warnings, error }, 2)}\n`);
  else printError(`${renderError(error)}\n`);
}

function internal(thrown: unknown): KpatchError {
  const problem = thrown instanceof Error ? thrown.message : String(thrown);
  const detail = thrown instanceof Error ? (thrown.stack ?? '') : '';
  return fail('internal', { problem }, { detail, cause: thrown });
}
