/**
 * Cleans untrusted text for a terminal, a log or a page. Control characters can control a terminal, and invisible
 * bidirectional characters can make a line look like another (CVE-2021-42574).
 */

/** C0 and C1 controls except newline and tab; bidirectional marks, embeddings, overrides and isolates; line separators. */
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const unsafeInLine = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Replaces unsafe characters and removes carriage returns; newlines stay. */
export function printable(text: string): string {
  return text.replaceAll('\r', '').replace(unsafe, '\u{fffd}');
}

/** The same for a single line: newlines and tabs become spaces. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, ' ');
}

/** True if the text has no control, bidirectional or line-separating character. */
export function isPlainText(text: string): boolean {
  return text.search(unsafeInLine) < 0;
}
