/** docs/commands.md: every command with its options and examples, from the commands' own declarations. */
import { type Example, examples } from '#kpatch/cli/examples.ts';
import { argumentText, type CommandShape } from '../packages/program.ts';

/** The page as Markdown. */
export function commandsPage(shapes: readonly CommandShape[]): string {
  return [
    '# Commands',
    '',
    'All commands with their options and examples. `make docs` generates this file from the commands themselves.',
    '',
    ...shapes.flatMap((shape) => commandSection(shape, 2)),
  ].join('\n');
}

function commandSection(shape: CommandShape, level: number): string[] {
  const { name, description, options, args, subcommands, after } = shape;
  const usage = ['kpatch', name, ...(options.length > 0 ? ['[options]'] : []), ...args.map(argumentText)].join(' ');
  const group = subcommands.length > 0;
  return [
    `${'#'.repeat(level)} kpatch ${name}`,
    '',
    `${sentence(description)}`,
    '',
    ...(group ? [] : ['```', usage, '```', '']),
    ...(options.length === 0 || group ? [] : [...optionTable(shape), '']),
    ...(after === '' ? [] : ['```', after, '```', '']),
    ...subcommands.flatMap((sub) => commandSection(sub, level + 1)),
    ...(level === 2 ? exampleLines(examples[name] ?? []) : []),
  ];
}

function optionTable({ options }: CommandShape): string[] {
  const rows = options.map(({ flags, description }) => `| \`${flags}\` | ${cell(description)} |`);
  return ['| option | |', '|---|---|', ...rows];
}

function exampleLines(all: readonly Example[]): string[] {
  return all.length === 0
    ? []
    : ['Examples:', '', '```', ...all.flatMap(({ what, run }) => [`# ${what}`, ...run]), '```', ''];
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return cell(/[.?!]$/.test(first) ? first : `${first}.`);
}
