/**
 * The one place that writes to standard output and standard error. What modules, guests, mirrors and other programs say
 * must not steer the terminal that shows it.
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

/** JSON in which every character that could steer a terminal is escaped: the same document, safe to look at. */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(
    value,
    (_, item: unknown) => (typeof item === 'bigint' ? `0x${item.toString(16)}` : item),
    indent,
  );
  // JSON.stringify escapes C0 itself; the rest can stand in strings only.
  return text.replace(/[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
