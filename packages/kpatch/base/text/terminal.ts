/** What a terminal can show, and text laid out for it: colours by role, and lines wrapped at words with a hanging indent. */
import { printable } from './printable.ts';

export interface Terminal {
  /** The cursor can be moved: lines may change after they are printed. */
  readonly interactive: boolean;
  readonly colours: boolean;
  /** Columns; infinite for files and pipes, and for terminals that report none (serial consoles): scripts read those too. */
  readonly width: number;
}

/** Below this, wrapped text is harder to read than cut text. */
const LEAST_WIDTH = 20;

/**
 * What a stream can show. `TERM=dumb` moves no cursor and has no colours (terminfo); `NO_COLOR` turns colours off
 * (https://no-color.org).
 */
export function terminalOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: NodeJS.ProcessEnv = process.env,
): Terminal {
  if (stream.isTTY !== true) return { interactive: false, colours: false, width: Number.POSITIVE_INFINITY };
  const interactive = env.TERM !== 'dumb';
  const width = Math.max(LEAST_WIDTH, stream.columns || Number.POSITIVE_INFINITY);
  return { interactive, colours: interactive && (env.NO_COLOR ?? '') === '', width };
}

/** What a piece of text is; the colour follows from it. */
export type Role = 'plain' | 'good' | 'bad' | 'warning' | 'strong' | 'quiet' | 'command';

/** Parameters of the escape sequence SGR (ECMA-48). */
const sgr: Readonly<Record<Exclude<Role, 'plain'>, string>> = {
  good: '32',
  bad: '31',
  warning: '33',
  strong: '1',
  quiet: '2',
  command: '36',
};

/** A piece of text with its role. The text may come from anywhere: its control characters are never printed. */
export interface Span {
  readonly role: Role;
  readonly text: string;
}

/** A line: plain text, or pieces. `hang` is the column at which it continues when it is too long for the terminal. */
export interface Line {
  readonly spans: readonly Span[];
  readonly hang: number;
}

/** A line of one or several pieces; a string is plain text. */
export function line(parts: readonly (string | Span)[], hang = 0): Line {
  return { spans: parts.map((part) => (typeof part === 'string' ? { role: 'plain', text: part } : part)), hang };
}

export function span(role: Role, text: string): Span {
  return { role, text };
}

/** The lines as text without colours and wrapping. */
export function plainText(lines: readonly Line[]): string {
  return lines.map(({ spans }) => spans.map(({ text }) => text).join('')).join('\n');
}

/** The lines for a terminal: coloured and wrapped as far as it allows, control characters of the text replaced. */
export function render(lines: readonly Line[], { colours, width }: Terminal): string {
  return lines
    .flatMap(({ spans, hang }) => wrap(spans, width, hang))
    .map((spans) => spans.map((one) => paint(one, colours)).join(''))
    .join('\n');
}

function paint({ role, text }: Span, colours: boolean): string {
  const clean = printable(text);
  return colours && role !== 'plain' && clean.trim() !== '' ? `\x1b[${sgr[role]}m${clean}\x1b[0m` : clean;
}

/** Breaks a line at spaces; a word that is longer than the terminal stays whole, because paths and commands are copied. */
function wrap(spans: readonly Span[], width: number, hang: number): Span[][] {
  const length = spans.reduce((sum, { text }) => sum + text.length, 0);
  if (length <= width) return [[...spans]];
  const indent = Math.min(hang, Math.floor(width / 2));
  const rows: Span[][] = [[]];
  let column = 0;
  for (const { role, text } of spans) {
    for (const word of text.match(/\s*\S+|\s+$/g) ?? []) {
      const bare = word.trimStart();
      if (column > indent && column + word.length > width && bare !== '' && bare !== word) {
        rows.push([span('plain', ' '.repeat(indent)), span(role, bare)]);
        column = indent + bare.length;
      } else {
        rows.at(-1)!.push(span(role, word));
        column += word.length;
      }
    }
  }
  return rows;
}
