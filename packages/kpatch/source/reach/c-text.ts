/**
 * C source as lines of text without comments, and its words: all that is needed to see which names a piece of source
 * mentions.
 */

/** The text with line splices undone and each comment replaced by a space; strings and character constants stay. */
export function withoutComments(text: string): string {
  const spliced = text.replace(/\\[ \t]*\r?\n/g, '');
  const kept: string[] = [];
  let from = 0;
  const stringEnd = quotes(spliced);
  const interesting = /["'/]/g;
  for (let match = interesting.exec(spliced); match !== null; match = interesting.exec(spliced)) {
    const at = match.index;
    const end = match[0] === '/' ? commentEnd(spliced, at) : stringEnd(at);
    if (end === undefined) continue;
    if (match[0] === '/') {
      kept.push(spliced.slice(from, at), ' ');
      from = end;
    }
    interesting.lastIndex = end;
  }
  return from === 0 ? spliced : kept.join('') + spliced.slice(from);
}

function commentEnd(text: string, at: number): number | undefined {
  if (text[at + 1] !== '/' && text[at + 1] !== '*') return undefined;
  const line = text[at + 1] === '/';
  const end = line ? text.indexOf('\n', at) : text.indexOf('*/', at + 2);
  return end < 0 ? text.length : line ? end : end + 2;
}

/**
 * Finds the ends of strings and character constants: the place after the closing quote, undefined if a quote is not closed
 * on its line. Then all later quotes of its kind on this line are escaped, so they are not closed either and are not
 * searched again.
 */
function quotes(text: string): (at: number) => number | undefined {
  const openUntil: Record<string, number> = {};
  return (at) => {
    const quote = text[at]!;
    if (at < (openUntil[quote] ?? 0)) return undefined;
    let index = at + 1;
    for (; index < text.length && text[index] !== '\n'; index++) {
      if (text[index] === quote) return index + 1;
      if (text[index] === '\\' && text[index + 1] !== '\n') index++;
    }
    openUntil[quote] = index;
    return undefined;
  };
}

/** Every word of the text: identifiers, keywords, numbers, and words inside strings. */
export function wordsOf(text: string): Set<string> {
  return new Set(text.match(/\w+/g));
}

const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\w+|##|[^\s\w]/g;

/** The one expression takes time in the square of a text's length where quotes are not closed, so it is for short texts. */
const SHORT = 1000;

/** Tokens of C: words, strings, single characters of punctuation; `##` is one token. */
export function tokensOf(text: string): string[] {
  if (text.length <= SHORT) return text.match(token) ?? [];
  const tokens: string[] = [];
  const stringEnd = quotes(text);
  const next = /["']|\w+|##|[^\s\w]/g;
  for (let match = next.exec(text); match !== null; match = next.exec(text)) {
    const [part] = match;
    const end = part === '"' || part === "'" ? stringEnd(match.index) : undefined;
    tokens.push(end === undefined ? part : text.slice(match.index, end));
    if (end !== undefined) next.lastIndex = end;
  }
  return tokens;
}

export function isName(word: string | undefined): word is string {
  return word !== undefined && /^[A-Za-z_]\w*$/.test(word);
}

/** The place after the bracket that closes the one at `at`; the end where none does. */
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

/** Reads `NAME(parameters) body` as it is behind `#define`; undefined if it has no name. */
export function readMacro(definition: string): Macro | undefined {
  const [, name, list, body] = /^\s*([A-Za-z_]\w*)(?:\(([^)]*)\))?([\s\S]*)$/.exec(definition) ?? [];
  if (name === undefined) return undefined;
  const given = (list ?? '').split(',').map((word) => word.trim());
  const parameters = given
    .map((word) => (word.endsWith('...') ? word.slice(0, -3).trimEnd() : word))
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
