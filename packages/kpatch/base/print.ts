/**
 * The only module that writes to standard output and standard error. It escapes control characters, because text from modules,
 * guests, mirrors and other programs must not control the terminal.
 */
import { printable } from './printable.ts';

/** Writes text to standard output. */
export function print(text: string): void {
  process.stdout.write(printable(text));
}

/** Writes text to standard error. */
export function printError(text: string): void {
  process.stderr.write(printable(text));
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
