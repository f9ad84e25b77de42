/** How every command runs: parse, call, print, exit status. The file of a command contains only its options and texts. */
import type { Command } from 'commander';
import { type CommandUsage, type ExitStatus, failure, KpatchError } from '../base/errors/error.ts';
import { errorLines } from '../base/errors/render.ts';
import { jsonText, print, printErrorLines, printLines } from '../base/print.ts';
import { consoleReporter, type Reporter, silentReporter } from '../base/report.ts';
import { type Line, line, span } from '../base/text/terminal.ts';
import { useSandbox } from '../base/workspace.ts';
import type { Printed } from '../documents/registry.ts';

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
  /** For people: text, or lines with roles where colour helps. */
  readonly text: string | readonly Line[];
  /** What to do next. */
  readonly next?: readonly NextStep[];
}

/** A command line to run next, and what for. */
export interface NextStep {
  readonly run: string;
  readonly what: string;
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
      printFailure(error, json, report.warnings, usageOf(command));
    }
  };
}

function printOutcome(outcome: Outcome, json: boolean, report: Reporter): void {
  const { exit = 0, schema, data, text, next = [] } = outcome;
  process.exitCode = exit;
  if (json) {
    print(`${jsonText({ schema, warnings: report.warnings, ...data }, 2)}\n`);
    return;
  }
  if (typeof text !== 'string') printLines(text);
  else if (text !== '') print(text.endsWith('\n') ? text : `${text}\n`);
  printNext(next);
}

/** Prints what to do next, as `action` does it after the text of an outcome. */
export function printNext(next: readonly NextStep[]): void {
  if (next.length > 0) printLines(nextLines(next));
}

/** Command lines that follow, aligned, each with what it does. */
function nextLines(next: readonly NextStep[]): Line[] {
  const width = Math.max(...next.map(({ run }) => run.length));
  const rows = next.map(({ run, what }) => {
    return line([span('command', `  ${run.padEnd(width)}`), span('quiet', `  ${what}`)], width + 4);
  });
  return [line([]), line([span('strong', 'Next:')]), ...rows];
}

/** How a command is called: `kpatch kernel add`, `kpatch kernel add [options] [RELEASE]`. */
export function usageOf(command: Command): CommandUsage {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  return { name: names.join(' '), usage: `${names.join(' ')} ${command.usage()}` };
}

/** Prints any thrown value as an error of the catalogue and sets the exit status. Wrong usage shows that of the command. */
export function printFailure(
  thrown: unknown,
  json: boolean,
  warnings: readonly string[] = [],
  command?: CommandUsage,
): void {
  const known = thrown instanceof KpatchError ? thrown : internal(thrown);
  const error =
    known.code === 'usage' && command !== undefined ? failure('usage', { problem: known.message }, { command }) : known;
  process.exitCode = error.exit;
  if (json) print(`${jsonText({ schema: 'kpatch.error/1', warnings, error }, 2)}\n`);
  else printErrorLines(errorLines(error));
}

function internal(thrown: unknown): KpatchError {
  const problem = thrown instanceof Error ? thrown.message : String(thrown);
  const detail = thrown instanceof Error ? (thrown.stack ?? '') : '';
  return failure('internal', { problem }, { detail, cause: thrown });
}
