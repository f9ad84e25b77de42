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
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const BACKSLASH = 0x5c;

/** The first name that an object of a valid JSON text has twice. One pass over the text, which skips strings. */
function memberTwice(text: string): string | undefined {
  const open: Set<string>[] = [];
  let [start, end] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        start = at;
        end = endOfString(text, at);
        at = end;
        break;
      case COLON: {
        const name = nameOf(text, start, end);
        const names = open.at(-1);
        if (names?.has(name)) return name;
        names?.add(name);
        break;
      }
      case OPEN_LIST:
      case OPEN_OBJECT:
        open.push(new Set());
        break;
      case CLOSE_LIST:
      case CLOSE_OBJECT:
        open.pop();
    }
  }
  return undefined;
}

/** The name in the string from `start` to `end`; only one with escapes has to be parsed. */
function nameOf(text: string, start: number, end: number): string {
  const name = text.slice(start + 1, end);
  return name.includes('\\') ? (JSON.parse(`"${name}"`) as string) : name;
}

/** Where the string that begins at `at` ends: at the first quote with an even number of backslashes before it. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    let first = end;
    while (text.charCodeAt(first - 1) === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
  }
}
