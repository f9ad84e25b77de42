/** JSON in which no object has a member twice: parsers differ in which one they take, so a signature would cover neither. */

/** Parses a document. Throws an `Error` whose message says what is wrong. */
export function parseStrict(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const twice = memberTwice(text);
  if (twice !== undefined) throw new Error(`the member ${JSON.stringify(twice)} is there twice`);
  return value;
}

/** The first name that an object of a valid JSON text has twice. One pass over the text. */
function memberTwice(text: string): string | undefined {
  const open: Set<string>[] = [];
  let word = '';
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        open.push(new Set());
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const start = at++;
        while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
        word = text.slice(start, at + 1);
        break;
      }
      case ':': {
        const name = JSON.parse(word) as string;
        const names = open.at(-1);
        if (names?.has(name)) return name;
        names?.add(name);
      }
    }
  }
  return undefined;
}
