/** The commands as their own files declare them: what man pages and completions are made from. */
import { type Argument, Command, type Option } from 'commander';
import { commands } from '#kpatch/cli/commands.ts';

export interface CommandShape {
  /** `load`, or `kernel add` for a command of a command. */
  readonly name: string;
  readonly description: string;
  readonly args: readonly Argument[];
  readonly options: readonly Option[];
  readonly subcommands: readonly CommandShape[];
  /** What its help says after the options. */
  readonly after: string;
}

/** All commands, in the order of the help. */
export async function commandShapes(): Promise<CommandShape[]> {
  const shapes: CommandShape[] = [];
  for (const entry of commands) {
    const program = new Command('kpatch');
    (await entry.load()).register(program);
    const command = program.commands.find((one) => one.name() === entry.name);
    if (command === undefined) throw new Error(`${entry.name} does not register itself`);
    shapes.push(shapeOf(command, ''));
  }
  return shapes;
}

function shapeOf(command: Command, parent: string): CommandShape {
  const name = `${parent}${command.name()}`;
  let after = '';
  command.configureOutput({
    writeOut: (text) => {
      after += text;
    },
  });
  command.outputHelp();
  after = after.slice(command.helpInformation().length);
  return {
    name,
    description: command.description(),
    args: command.registeredArguments,
    options: command.options.filter((option) => !option.hidden),
    subcommands: command.commands.map((sub) => shapeOf(sub, `${name} `)),
    after: after.trim(),
  };
}

/** An argument as usage shows it: `<PATCH>`, `[FILE...]`. */
export function argumentText(argument: Argument): string {
  const name = `${argument.name().toUpperCase()}${argument.variadic ? '...' : ''}`;
  return argument.required ? name : `[${name}]`;
}
