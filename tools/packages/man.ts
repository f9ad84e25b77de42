/** Man pages, made from the commands' own declarations and from `packaging/man/COMMAND.txt`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '#kpatch/base/version.ts';
import { type Example, examples } from '#kpatch/cli/examples.ts';
import { usageText } from '#kpatch/compat/kpatch-build-options.ts';
import { root } from './executable.ts';
import { argumentText, type CommandShape } from './program.ts';

const statuses = [
  ['0', 'Done, or already in that state.'],
  ['1', 'Failed; or, for commands that report, something needs attention.'],
  ['2', 'Wrong usage.'],
  ['3', 'There was nothing to do.'],
  ['4', 'Refused as unsafe; nothing was changed.'],
] as const;

/** What a page's text file holds: prose, and the sections that begin with a line in capitals. */
interface PageText {
  readonly prose: string;
  readonly examples: readonly Example[];
  /** Paths, each explained in `FILES.txt`. */
  readonly files: readonly string[];
  readonly seeAlso: readonly string[];
}

/** Name of each page's file, and its text. */
export function manPages(shapes: readonly CommandShape[], date: string): Map<string, string> {
  const pages = new Map<string, string>();
  pages.set('kpatch.1', overview(shapes, date));
  for (const shape of shapes) pages.set(`${pageName(shape)}.1`, page(shape, date));
  pages.set('kpatch-build.1', dropIn(date));
  return pages;
}

/** `kpatch-build` is the drop-in of that name, so the page of `kpatch build` has an underscore; each page names the other. */
function pageName({ name }: CommandShape): string {
  return name === 'build' ? 'kpatch_build' : `kpatch-${name}`;
}

function overview(shapes: readonly CommandShape[], date: string): string {
  const text = pageText('kpatch');
  return [
    heading('KPATCH', date),
    ...section('NAME', ['kpatch \\- live patches for the Linux kernel: build, prove, load, keep, replace, deliver']),
    ...section('SYNOPSIS', ['.B kpatch', '.I COMMAND', '[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...']),
    ...section('DESCRIPTION', prose(text.prose)),
    ...section(
      'COMMANDS',
      shapes.flatMap((shape) =>
        item(`kpatch ${shape.name}`, `${sentence(shape.description)} See ${pageName(shape)}(1).`),
      ),
    ),
    ...exitStatus(),
    ...lastSections(text, ['kpatch-build']),
    '',
  ].join('\n');
}

function page(shape: CommandShape, date: string): string {
  const { name, description, options, subcommands } = shape;
  const text = pageText(name);
  const lines = [
    heading(pageName(shape).toUpperCase(), date),
    ...section('NAME', [`${pageName(shape)} \\- ${roff(description)}`]),
    ...section('SYNOPSIS', synopsis(shape)),
    ...section('DESCRIPTION', [...prose(text.prose), ...(shape.after === '' ? [] : ['.PP', ...prose(shape.after)])]),
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
    if (sub.after !== '') lines.push('.PP', ...prose(sub.after));
  }
  lines.push(...exitStatus(), ...lastSections(text, ['kpatch']), '');
  return lines.join('\n');
}

/** The drop-in for dynup/kpatch's builder; its options are those of its usage text. */
function dropIn(date: string): string {
  const text = pageText('kpatch-build');
  const options = usageText
    .split('\n')
    .map((line) => /^ {4}(-.*?) {2,}(.*)$/.exec(line))
    .filter((match) => match !== null);
  return [
    heading('KPATCH-BUILD', date),
    ...section('NAME', ['kpatch-build \\- drop-in for the live patch builder of dynup/kpatch']),
    ...section('SYNOPSIS', ['.B kpatch-build', '[\\fIOPTION\\fR]... \\fIPATCH\\fR...']),
    ...section('DESCRIPTION', prose(text.prose)),
    ...section(
      'OPTIONS',
      options.flatMap(([, flags = '', meaning = '']) => item(flags, sentence(meaning))),
    ),
    ...section('EXIT STATUS', [...item('0', 'The module was built.'), ...item('1', 'Anything else.')]),
    ...lastSections(text, []),
    '',
  ].join('\n');
}

function synopsis({ name, args, subcommands }: CommandShape): string[] {
  if (subcommands.length > 0) return subcommands.flatMap((sub) => [...synopsis(sub), '.br']).slice(0, -1);
  return [
    `.B kpatch ${roff(name)}`,
    `[\\fIOPTION\\fR]... ${args.map((argument) => `\\fI${roff(argumentText(argument))}\\fR`).join(' ')}`,
  ];
}

/** Reads `packaging/man/NAME.txt`. Every page must have examples (`cli/examples.ts`), and every path of it an explanation. */
function pageText(name: string): PageText {
  const [first = '', ...others] = read(`${name}.txt`).split(/^(?=(?:FILES|SEE ALSO)$)/m);
  const parts = new Map(
    others.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1).trimEnd()]),
  );
  const own = examples[name];
  if (own === undefined) throw new Error(`packages/kpatch/cli/examples.ts has no examples of ${name}`);
  const words = (part: string): string[] => parts.get(part)?.split(/\s+/).filter(Boolean) ?? [];
  return { prose: first, examples: own, files: words('FILES'), seeAlso: words('SEE ALSO') };
}

function read(name: string): string {
  return readFileSync(join(root, 'packaging/man', name), 'utf8');
}

/** Paragraphs; one that is indented keeps its lines. */
function prose(text: string): string[] {
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

function lastSections({ examples, files, seeAlso }: PageText, also: readonly string[]): string[] {
  const meanings = new Map(
    read('FILES.txt')
      .trim()
      .split('\n')
      .map((line) => line.split('\t') as [string, string]),
  );
  const explained = files.map((path) => {
    const meaning = meanings.get(path);
    if (meaning === undefined) throw new Error(`packaging/man/FILES.txt does not explain ${path}`);
    return item(path, meaning);
  });
  const names = [...also, ...seeAlso];
  const pages = names.map((name, i) => `.BR ${roff(name)} (1)${i < names.length - 1 ? ',' : ''}`);
  return [
    ...section('EXAMPLES', exampleLines(examples)),
    ...(explained.length === 0 ? [] : section('FILES', explained.flat())),
    ...(pages.length === 0 ? [] : section('SEE ALSO', pages)),
  ];
}

/** What each example is for, and its commands indented. */
function exampleLines(all: readonly Example[]): string[] {
  return all.flatMap(({ what, run }, i) => [
    ...(i === 0 ? [] : ['.PP']),
    `${roff(what)}:`,
    '.PP',
    '.RS 4',
    '.nf',
    ...run.map(roff),
    '.fi',
    '.RE',
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
