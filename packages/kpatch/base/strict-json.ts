/** JSON in which no object has a member twice: parsers differ in which one they take, so a signature would cover neither. */

/** Parses a document. Throws an `Error` whose message says what is wrong. */
export function parseStrict(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const twice = memberTwice(text);
  if (twice !== undefined) throw new Error(`the member ${JSON.stringify(twice)} is there twice`);
  return value;
}

/** Codes of the characters that matter outside of strings. */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN = [0x5b, 0x7b];
const CLOSE = [0x5d, 0x7d];

/** The first name that an object of a valid JSON text has twice. One pass over the text. */
function memberTwice(text: string): string | undefined {
  const open: Set<string>[] = [];
  let word = '';
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const start = at;
      at = endOfString(text, at);
      word = text.slice(start, at + 1);
    } else if (code === COLON) {
      const name = JSON.parse(word) as string;
      const names = open.at(-1);
      if (names?.has(name)) return name;
      names?.add(name);
    } else if (OPEN.includes(code)) open.push(new Set());
    else if (CLOSE.includes(code)) open.pop();
  }
  return undefined;
}

/** Where the string that begins at `at` ends. */
function endOfString(text: string, at: number): number {
  for (let end = at + 1; ; end++) {
    const code = text.charCodeAt(end);
    if (code === QUOTE) return end;
    if (code === BACKSLASH) end++;
  }
}
