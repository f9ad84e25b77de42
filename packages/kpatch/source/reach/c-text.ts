/** C source as lines of text without comments, and its words: all that is needed to see which names a piece of source mentions. */

/** The text with line splices undone and each comment replaced by a space; strings and character constants stay. */
export function withoutComments(text: string): string {
  const spliced = text.replace(/\\[ \t]*\r?\n/g, '');
  return spliced.replace(/\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, (piece) =>
    piece.startsWith('/') ? ' ' : piece,
  );
}

/** Every word of the text: identifiers, keywords, numbers, and words inside strings. */
export function wordsOf(text: string): Set<string> {
  return new Set(text.match(/\w+/g));
}

/** One token of C: a word, a string, or one character of punctuation; `##` is one token. */
const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\w+|##|[^\s\w]/g;

export function tokensOf(text: string): string[] {
  return text.match(token) ?? [];
}

export function isName(word: string | undefined): word is string {
  return word !== undefined && /^[A-Za-z_]\w*$/.test(word);
}

/** The place behind the bracket that closes the one at `at`; the end where none does. */
export function closing(tokens: readonly string[], at: number): number {
  let depth = 0;
  for (let index = at; index < tokens.length; index++) {
    const text = tokens[index]!;
    if (text === '(' || text === '{' || text === '[') depth++;
    if ((text === ')' || text === '}' || text === ']') && --depth === 0) return index + 1;
  }
  return tokens.length;
}

export interface Macro {
  readonly name: string;
  readonly parameters: readonly string[];
  /** Index of the first parameter that takes any number of arguments; beyond the last where none does. */
  readonly variadic: number;
  readonly body: readonly string[];
}

/** Reads `NAME(parameters) body` as it stands behind `#define`; undefined where it has no name. */
export function readMacro(definition: string): Macro | undefined {
  const [, name, list, body] = /^\s*([A-Za-z_]\w*)(?:\(([^)]*)\))?([\s\S]*)$/.exec(definition) ?? [];
  if (name === undefined) return undefined;
  const given = (list ?? '').split(',').map((word) => word.trim());
  const parameters = given
    .map((word) => word.replace(/\s*\.\.\.$/, ''))
    .map((word) => (word === '' ? '__VA_ARGS__' : word));
  const rest = given.findIndex((word) => word.endsWith('...'));
  return {
    name,
    parameters: list === undefined ? [] : parameters,
    variadic: rest < 0 ? parameters.length : rest,
    body: tokensOf(body ?? ''),
  };
}

/** The macros that a text (without comments) defines. */
export function macrosOf(text: string): Macro[] {
  return [...text.matchAll(/^[ \t]*#[ \t]*define\b([^\n]*)/gm)]
    .map(([, definition]) => readMacro(definition!))
    .filter((macro) => macro !== undefined);
}
