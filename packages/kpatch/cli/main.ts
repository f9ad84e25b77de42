/** The program `kpatch`: finds the command and runs it. */
import { Command, CommanderError } from 'commander';
import { failure } from '../base/errors/error.ts';
import { handleBrokenOutput, print } from '../base/print.ts';
import { harden } from '../base/process/harden.ts';
import { terminalOf } from '../base/text/terminal.ts';
import { version } from '../base/version.ts';
import { printFailure, usageOf } from './command.ts';
import { commands, groups } from './commands.ts';
import { examplesText } from './examples.ts';

/** Rows of help are this wide where the output is not a terminal, and at most this wide on one. */
const HELP_WIDTH = 100;

/** Runs one command line (without the program name) and sets the exit status of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  harden();
  handleBrokenOutput();
  const json = argv.includes('--json');
  const wanted = argv.filter((word) => !word.startsWith('-'));
  const asksForHelp = wanted[0] === 'help';
  const path = asksForHelp ? wanted.slice(1) : wanted;
  const program = await programFor(path[0]);
  if (argv.length === 0 || (asksForHelp && (path.length === 0 || path[0] === 'help'))) {
    print(`${program.helpInformation()}${examplesText('kpatch')}\n`);
    process.exitCode = argv.length === 0 ? 2 : 0;
    return;
  }
  if (asksForHelp) return help(program, path, json);
  const { command, rest } = commandAt(program, path);
  if (rest[0] === 'help' && command !== program)
    return help(
      program,
      path.filter((word) => word !== 'help'),
      json,
    );
  if (command !== program && command.commands.length > 0 && !asks(argv)) {
    return printFailure(failure('usage', { problem: missing(command, rest[0]) }), json, [], usageOf(command));
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) return printFailure(error, json, [], usageOf(command));
    if (error.exitCode === 0) return;
    const problem = error.message.replace(/^error: /, '').replace('\n', ' ');
    printFailure(failure('usage', { problem }), json, [], usageOf(command));
  }
}

/** The program with the command `name` fully declared and the others by name only, so that help and start-up stay fast. */
async function programFor(name: string | undefined): Promise<Command> {
  const program = new Command('kpatch')
    .description('Linux kernel live patching: build, prove, load and update live patches without a reboot.')
    .version(`kpatch ${version}`, '-V, --version')
    .usage('COMMAND [options] [arguments]')
    .addHelpText('after', examplesText('kpatch'))
    // Options after a command are those of the command: `build --version 2` must not print the version of the program.
    .enablePositionalOptions();
  for (const entry of commands) {
    if (entry.name === name) (await entry.load()).register(program);
    else program.command(entry.name).description(entry.summary);
    program.commands.at(-1)!.helpGroup(groups[entry.group]);
  }
  program.addHelpCommand(
    new Command('help').argument('[command...]').description('show help for a command').helpGroup(groups.other),
  );
  prepare(program, '');
  return program;
}

/** Makes every command throw on wrong usage, and sets how its help looks. */
function prepare(command: Command, path: string): void {
  command
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      writeErr: () => {},
      writeOut: print,
      getOutHelpWidth: () => Math.min(HELP_WIDTH, terminalOf(process.stdout).width),
    });
  for (const option of command.options) {
    // Options that may be repeated start as an empty list. The value is set already; help should not print it.
    if (Array.isArray(option.defaultValue) && option.defaultValue.length === 0) option.defaultValue = undefined;
  }
  for (const sub of command.commands) {
    const name = path === '' ? sub.name() : `${path} ${sub.name()}`;
    sub.addHelpText('after', () => examplesText(name));
    prepare(sub, name);
  }
}

/** The command that the words name as far as they do, and the words that are left. */
function commandAt(program: Command, words: readonly string[]): { command: Command; rest: readonly string[] } {
  const [first, ...rest] = words;
  const command = program.commands.find((one) => one.name() === first);
  return command === undefined ? { command: program, rest: words } : commandAt(command, rest);
}

function help(program: Command, path: readonly string[], json: boolean): void {
  const { command, rest } = commandAt(program, path);
  if (rest.length === 0) {
    command.outputHelp();
    return;
  }
  const problem =
    command === program || command.commands.length > 0
      ? `unknown command '${rest[0]}'`
      : `${usageOf(command).name} has no command '${rest[0]}'`;
  printFailure(failure('usage', { problem }), json, [], usageOf(command));
}

function asks(argv: readonly string[]): boolean {
  return argv.includes('--help') || argv.includes('-h');
}

/** What is wrong with a call of a group of commands. */
function missing(group: Command, word: string | undefined): string {
  const names = group.commands.map((one) => one.name()).join(', ');
  const given = word === undefined ? `${usageOf(group).name} needs a command` : `unknown command '${word}'`;
  return `${given}: ${names}`;
}

if (import.meta.main) await main(process.argv.slice(2));
