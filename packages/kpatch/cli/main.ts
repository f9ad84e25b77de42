/** The program `kpatch`: finds the command and runs it. */
import { Command, CommanderError } from 'commander';
import { fail } from '../base/errors/error.ts';
import { harden } from '../base/harden.ts';
import { print } from '../base/print.ts';
import { version } from '../base/version.ts';
import { printFailure } from './command.ts';
import { commands } from './commands.ts';

/** Runs one command line (without the program name) and sets the exit status of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  harden();
  const program = new Command('kpatch')
    .description('Linux kernel live patching: build, prove, load and update live patches without a reboot.')
    .version(`kpatch ${version}`, '-V, --version')
    .helpCommand('help [command]', 'show help for a command')
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  const wanted = argv.filter((word) => !word.startsWith('-'));
  const name = wanted[0] === 'help' ? wanted[1] : wanted[0];
  const unknown =
    wanted[0] === 'help' && name !== undefined && name !== 'help' && !commands.some((command) => command.name === name);
  if (unknown) return printFailure(fail('usage', { problem: `unknown command '${name}'` }), argv.includes('--json'));
  const entry = commands.find((command) => command.name === name);
  if (entry !== undefined) (await entry.load()).register(program);
  for (const { name: other, summary } of commands) {
    if (other !== entry?.name) program.command(other).description(summary);
  }
  if (argv.length === 0) {
    print(program.helpInformation());
    process.exitCode = 2;
    return;
  }
  try {
    inheritExit(program);
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) return printFailure(error, argv.includes('--json'));
    if (error.exitCode === 0) return;
    // `kpatch help help`
    if (error.code === 'commander.help') return void print(program.helpInformation());
    printFailure(
      fail('usage', { problem: error.message.replace(/^error: /, '').replace('\n', ' ') }),
      argv.includes('--json'),
    );
  }
}

/** Makes subcommands throw like the program, so that a wrong option prints an error of the catalogue with exit status 2. */
function inheritExit(command: Command): void {
  for (const sub of command.commands) {
    sub
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .showSuggestionAfterError(true);
    inheritExit(sub);
  }
}

if (import.meta.main) await main(process.argv.slice(2));
