/** Man pages, made from the commands' own declarations and from `packaging/man/COMMAND.txt` where there is more to say. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '#kpatch/base/version.ts';
import { root } from './executable.ts';
import { argumentText, type CommandShape } from './program.ts';

const statuses = [
  ['0', 'Done, or it is so already.'],
  ['1', 'Failed; or, for commands that look, something needs a person.'],
  ['2', 'Wrong usage.'],
  ['3', 'There was nothing to do.'],
  ['4', 'Refused as unsafe; nothing was changed.'],
] as const;

/** Name of each page's file, and its text. */
export function manPages(shapes: readonly CommandShape[], date: string): Map<string, string> {
  const pages = new Map<string, string>();
  pages.set('kpatch.1', overview(shapes, date));
  for (const shape of shapes) pages.set(`kpatch-${shape.name}.1`, page(shape, date));
  return pages;
}

function overview(shapes: readonly CommandShape[], date: string): string {
  return [
    heading('KPATCH', date),
    ...section('NAME', ['kpatch \\- live patches for the Linux kernel: build, prove, load, keep, replace, deliver']),
    ...section('SYNOPSIS', ['.B kpatch', '.I COMMAND', '[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...']),
    ...section('DESCRIPTION', prose('kpatch')),
    ...section(
      'COMMANDS',
      shapes.flatMap(({ name, description }) =>
        item(`kpatch ${name}`, `${sentence(description)} See kpatch-${name}(1).`),
      ),
    ),
    ...exitStatus(),
    ...files(),
    '',
  ].join('\n');
}

function page(shape: CommandShape, date: string): string {
  const { name, description, options, subcommands } = shape;
  const lines = [
    heading(`KPATCH-${name.toUpperCase()}`, date),
    ...section('NAME', [`kpatch-${name} \\- ${roff(description)}`]),
    ...section('SYNOPSIS', synopsis(shape)),
    ...section('DESCRIPTION', [
      ...prose(name, sentence(description)),
      ...(shape.after === '' ? [] : ['.PP', ...lineBreaks(shape.after)]),
    ]),
  ];
  if (options.length > 0)
    lines.push(
      ...section(
        'OPTIONS',
        options.flatMap((option) => item(option.flags, sentence(option.description))),
      ),
    );
  for (const sub of subcommands) {
    lines.push(
      ...section(`KPATCH ${sub.name.toUpperCase()}`, [...synopsis(sub), '.PP', roff(sentence(sub.description))]),
    );
    lines.push(...sub.options.flatMap((option) => item(option.flags, sentence(option.description))));
  }
  lines.push(...exitStatus(), ...files(), ...section('SEE ALSO', ['.BR kpatch (1)']), '');
  return lines.join('\n');
}

function synopsis({ name, args, subcommands }: CommandShape): string[] {
  if (subcommands.length > 0) return subcommands.flatMap((sub) => [...synopsis(sub), '.br']).slice(0, -1);
  return [
    `.B kpatch ${roff(name)}`,
    `[\\fIOPTION\\fR]... ${args.map((argument) => `\\fI${roff(argumentText(argument))}\\fR`).join(' ')}`,
  ];
}

/** Paragraphs of `packaging/man/NAME.txt`; `otherwise` where there is no such file. */
function prose(name: string, otherwise = ''): string[] {
  const path = join(root, 'packaging/man', `${name}.txt`);
  const text = existsSync(path) ? readFileSync(path, 'utf8') : otherwise;
  const paragraphs = text.trim().split(/\n\s*\n/);
  return paragraphs.flatMap((paragraph, i) => [
    ...(i === 0 ? [] : ['.PP']),
    ...(/^ {2}/.test(paragraph)
      ? ['.nf', ...lineBreaks(paragraph), '.fi']
      : [roff(paragraph.replace(/\s*\n\s*/g, ' '))]),
  ]);
}

function exitStatus(): string[] {
  return section(
    'EXIT STATUS',
    statuses.flatMap(([status, meaning]) => item(status, meaning)),
  );
}

function files(): string[] {
  return section('FILES', [
    ...item(
      '/var/lib/kpatch/RELEASE/',
      'The patches installed for that kernel, with an index and the state of the boot guard.',
    ),
    ...item('/run/kpatch/', 'The lock, and what is known of loaded patches.'),
    ...item('/sys/kernel/livepatch/', "The kernel's own view."),
  ]);
}

function heading(title: string, date: string): string {
  return `.TH ${title} 1 ${date} "kpatch ${version}" "Kernel live patching"\n.nh\n.ad l`;
}

function section(title: string, body: readonly string[]): string[] {
  return [`.SH ${title}`, ...body];
}

function item(term: string, text: string): string[] {
  return ['.TP', `.B ${roff(term)}`, roff(text)];
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.?!]$/.test(first) ? first : `${first}.`;
}

function lineBreaks(text: string): string[] {
  return text.split('\n').flatMap((line) => [roff(line.trimEnd()), '.br']);
}

/** A line that begins with a dot or a quote would be a request; hyphens of options must stay hyphens. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(['.])/, '\\&$1');
}
