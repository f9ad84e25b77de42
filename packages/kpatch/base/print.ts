/**
 * The only module that writes to standard output and standard error. It escapes control characters, because text from modules,
 * guests, mirrors and other programs must not control the terminal.
 */
import { printable } from './text/printable.ts';
import { type Line, plainText, render, terminalOf } from './text/terminal.ts';

/** Writes text to standard output. */
export function print(text: string): void {
  process.stdout.write(printable(text));
}

/** Empties the screen, if standard output is an interactive terminal, for a view that is drawn again. */
export function clearScreen(): void {
  if (terminalOf(process.stdout).interactive) process.stdout.write('\x1b[H\x1b[J');
}

/** Writes text to standard error. */
export function printError(text: string): void {
  standardError().write(printable(text));
}

/** Writes lines to standard output, coloured and wrapped if it is a terminal. */
export function printLines(lines: readonly Line[]): void {
  writeLines(process.stdout, lines);
}

/** Writes lines to standard error, coloured and wrapped if it is a terminal. */
export function printErrorLines(lines: readonly Line[]): void {
  writeLines(standardError(), lines);
}

function writeLines(stream: NodeJS.WriteStream, lines: readonly Line[]): void {
  if (stream.isTTY === true) stream.write(`${render(lines, terminalOf(stream))}\n`);
  else stream.write(`${printable(plainText(lines))}\n`);
}

/**
 * Output that cannot be written ends the program with one line instead of a stack trace: a full disk is a failure, a reader
 * that closed the pipe is not.
 */
export function handleBrokenOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    standardError().write(`kpatch: cannot write standard output: ${error.message}\n`);
    process.exit(1);
  });
}

/** Standard error, where the same holds. Node makes the stream when it is first asked for; most runs need none. */
function standardError(): NodeJS.WriteStream {
  const { stderr } = process;
  if (stderr.listenerCount('error') === 0)
    stderr.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? undefined : 1));
  return stderr;
}

/** JSON with all characters escaped that could control a terminal: the same document, safe to print. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(
    value,
    (_, item: unknown) => (typeof item === 'bigint' ? `0x${item.toString(16)}` : item),
    indent,
  );
  // JSON.stringify escapes C0 itself; the others can occur only in strings.
  return text.replace(/[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
