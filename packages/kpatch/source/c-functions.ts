/**
 * The functions that a C file defines, with their places in the text. It does not parse C: it finds bodies by their braces, so
 * functions that macros build from fragments are not found. Offsets count characters of the given text, lines count from 1.
 */

export interface CParameter {
  /** Empty for `void` and for a parameter without a name. */
  readonly name: string;
  /** As the source writes it, white space as single spaces. */
  readonly text: string;
}

export interface CFunction {
  /** As the source calls it; for a system call the name within `SYSCALL_DEFINE`. */
  readonly name: string;
  /** The names by which the source and the kernel know it; several only for a system call. */
  readonly names: readonly string[];
  /** Where its declaration starts. */
  readonly start: number;
  /** The opening brace. */
  readonly open: number;
  /** The place after the closing brace. */
  readonly end: number;
  readonly line: number;
  /** From the declaration to the opening brace, white space as single spaces. */
  readonly head: string;
  readonly parameters: readonly CParameter[];
  /** The body with braces; comments, strings and preprocessor lines are blank. */
  readonly body: string;
}

/** The text with comments, strings and preprocessor lines replaced by spaces; every offset stays the same. */
export function blanked(text: string): string {
  const blank = (part: string): string => part.replace(/[^\n]/g, ' ');
  const quiet = text.replace(
    /\/\*[\s\S]*?(?:\*\/|$)|\/\/[^\n]*|"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*'/g,
    (part) => (part.startsWith('/') ? blank(part) : `${part[0]}${blank(part.slice(1, -1))}${part.at(-1)}`),
  );
  return quiet.replace(/^[ \t]*#(?:[^\\\n]|\\[\s\S])*/gm, (part) =>
    /^\s*#\s*(?:if|ifdef|ifndef|else|elif|endif)\b/.test(part) ? part : blank(part),
  );
}

/** The functions of a C file in their order. */
export function functionsIn(text: string): CFunction[] {
  const quiet = blanked(text);
  const found: CFunction[] = [];
  let start = 0;
  for (const { open, end } of bodies(quiet)) {
    const head = quiet.slice(start, open).replace(/^[ \t]*#.*$/gm, (line) => ' '.repeat(line.length));
    const declaration = lastDeclaration(head);
    const one = functionOf(quiet, start + declaration.at, declaration.text, open, end);
    if (one !== undefined) found.push(one);
    start = end;
  }
  return found;
}

/** The function of that name; undefined if the file does not define it exactly once. */
export function functionNamed(text: string, name: string): CFunction | undefined {
  const all = functionsIn(text).filter(({ names }) => names.includes(name));
  return all.length === 1 ? all[0] : undefined;
}

interface Body {
  readonly open: number;
  readonly end: number;
}

/** Braces at the outer level. The branches of a conditional start at the depth where it starts. */
function* bodies(quiet: string): Generator<Body> {
  const depths: { start: number; first: number | undefined }[] = [];
  let depth = 0;
  let open = 0;
  for (const match of quiet.matchAll(/[{}]|^[ \t]*#[ \t]*(if|ifdef|ifndef|else|elif|endif)\b.*$/gm)) {
    const directive = match[1];
    const branch = depths.at(-1);
    if (directive?.startsWith('if')) depths.push({ start: depth, first: undefined });
    else if (directive === 'endif') depth = depths.pop()?.first ?? depth;
    else if (directive !== undefined && branch !== undefined) {
      branch.first ??= depth;
      depth = branch.start;
    } else if (match[0] === '{' && depth++ === 0) open = match.index;
    else if (match[0] === '}' && --depth === 0) yield { open, end: match.index + 1 };
    if (depth < 0) depth = 0;
  }
}

/** What stands before a body after the last `;` or macro call of its own line at the outer level. */
function lastDeclaration(head: string): { readonly at: number; readonly text: string } {
  let at = head.lastIndexOf(';') + 1;
  const rest = head.slice(at);
  // `EXPORT_SYMBOL(x)` and similar calls need no semicolon in front of a function.
  const calls = [...rest.matchAll(/^[A-Z_][A-Z0-9_]*\([^()]*\)[ \t]*\n(?=[ \t\n]*[a-z_])/gm)];
  const last = calls.at(-1);
  if (last !== undefined) at += last.index + last[0].length;
  const text = head.slice(at);
  const lead = /^\s*/.exec(text)![0].length;
  return { at: at + lead, text: text.slice(lead) };
}

const systemCall = /^(COMPAT_)?SYSCALL_DEFINE(\d)\s*\(\s*(\w+)/;
const attribute =
  /^(?:__\w+__|__attribute__|__(?:printf|scanf|aligned|section|acquires|releases|must_hold|cond_acquires|alloc_size|counted_by|printf_like|visible|no_sanitize\w*)|typeof|__typeof__)$/;

function functionOf(quiet: string, start: number, head: string, open: number, end: number): CFunction | undefined {
  const flat = head.replace(/\s+/g, ' ').trim();
  const line = quiet.slice(0, start).split('\n').length;
  const place = { start, open, end, line, head: flat, body: quiet.slice(open, end) };
  const [, compat, , call] = systemCall.exec(flat) ?? [];
  if (call !== undefined) {
    const stem = `${compat === undefined ? 'sys' : 'compat_sys'}_${call}`;
    const names = [call, stem, `__do_${stem}`, `__se_${stem}`];
    return { name: call, names, parameters: systemCallParameters(flat), ...place };
  }
  if (/^(?:struct|union|enum|typedef)\b[^()]*$/.test(flat) || /=\s*$/.test(flat) || /^[^(]*=/.test(flat))
    return undefined;
  for (const match of flat.matchAll(/\b([A-Za-z_]\w*) ?\(/g)) {
    const name = match[1]!;
    if (attribute.test(name)) continue;
    const from = match.index + match[0].length;
    const to = closingParenthesis(flat, from);
    if (match.index === 0) return undefined; // a macro that takes a body
    return { name, names: [name], parameters: splitOutside(flat.slice(from, to)).flatMap(parameterOf), ...place };
  }
  return undefined;
}

function systemCallParameters(flat: string): CParameter[] {
  const [, ...rest] = splitOutside(flat.slice(flat.indexOf('(') + 1, flat.lastIndexOf(')')));
  const words = rest.map((one) => one.trim());
  return Array.from({ length: Math.floor(words.length / 2) }, (_, index) => {
    return { name: words[2 * index + 1]!, text: `${words[2 * index]} ${words[2 * index + 1]}` };
  });
}

/** The place of the parenthesis that closes the one before `from`. */
export function closingParenthesis(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '(') depth++;
    if (text[at] === ')' && --depth === 0) return at;
  }
  return text.length;
}

/** The parts of a list, split at the commas outside all brackets. */
export function splitOutside(list: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < list.length; at++) {
    const one = list[at]!;
    if ('([{'.includes(one)) depth++;
    else if (')]}'.includes(one)) depth--;
    else if (one === ',' && depth === 0) {
      parts.push(list.slice(from, at));
      from = at + 1;
    }
  }
  parts.push(list.slice(from));
  return parts.map((one) => one.trim()).filter((one) => one !== '');
}

function parameterOf(text: string): CParameter[] {
  if (text === 'void') return [];
  const pointer = /\( ?\* ?(\w+) ?\)/.exec(text)?.[1];
  const plain = /(\w+) ?(?:\[[^\]]*\] ?)*(?:__\w+ ?)*$/.exec(text)?.[1];
  const name = pointer ?? plain ?? '';
  return [{ name: /^(?:int|long|char|short|unsigned|void|bool)$/.test(name) ? '' : name, text }];
}

/** A call in a body: its name, its arguments as text, and its offset in the body. */
export interface CCall {
  readonly name: string;
  readonly arguments: readonly string[];
  readonly at: number;
  /** The place after the closing parenthesis. */
  readonly end: number;
}

const keyword = /^(?:if|for|while|switch|return|sizeof|typeof|__typeof__|do|else|case|__attribute__|defined)$/;

/** The calls in a body (blanked text), in their order; a call within the arguments of another one follows it. */
export function callsIn(body: string): CCall[] {
  const calls: CCall[] = [];
  for (const match of body.matchAll(/\b([A-Za-z_]\w*)\s*\(/g)) {
    const name = match[1]!;
    if (keyword.test(name)) continue;
    const from = match.index + match[0].length;
    const to = closingParenthesis(body, from);
    const list = body.slice(from, to).replace(/\s+/g, ' ');
    calls.push({ name, arguments: splitOutside(list), at: match.index, end: to + 1 });
  }
  return calls;
}
