/**
 * Text of unknown origin on its way to a terminal, a log or a page. Control characters steer a terminal; the invisible
 * characters that set the direction of text make a line read as something else (CVE-2021-42574).
 */

/** C0 and C1 controls but newline and tab; marks, embeddings, overrides and isolates of direction; line separators. */
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const unsafeInLine = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Replaces what must not reach a terminal; lines stay lines. Carriage returns are left out. */
export function printable(text: string): string {
  return text.replaceAll('\r', '').replace(unsafe, '\u{fffd}');
}

/** The same for text that must stay one line: newlines and tabs become spaces. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, ' ');
}

/** True where text has no control, direction or line-separating character. */
export function isPlainText(text: string): boolean {
  return text.search(unsafeInLine) < 0;
}
