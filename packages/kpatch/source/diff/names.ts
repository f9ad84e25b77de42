/** File names in the headers of a diff. */

/** What `--- `, `+++ ` or `*** ` says of a file. */
export interface HeaderName {
  /** As it is there; undefined for /dev/null. */
  readonly name: string | undefined;
  /** The header says that the file does not exist: /dev/null, or the time at which Unix time starts. */
  readonly absent: boolean;
  /** The header has a time. GNU patch only looks for RFC 934 nesting then. */
  readonly dated: boolean;
}

/** Reads what follows `--- `: a name, quoted or not, and perhaps a tab or spaces and a time. */
export function headerName(text: string): HeaderName | undefined {
  const rest = text.trimStart();
  const [name, after] = rest.startsWith('"') ? quoted(rest) : unquoted(rest);
  if (name === undefined || name === '') return undefined;
  if (name === '/dev/null') return { name: undefined, absent: true, dated: true };
  const time = after.trim();
  return { name, absent: isEpoch(time), dated: time !== '' && !Number.isNaN(timeOf(time)) };
}

/** A name ends at the first white space, or at the first tab if there is one: names can have spaces. */
function unquoted(text: string): [name: string, after: string] {
  const tab = text.indexOf('\t');
  const end = tab >= 0 ? tab : text.search(/[ \r\f\v]/);
  return end < 0 ? [text, ''] : [text.slice(0, end), text.slice(end)];
}

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  t: '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  '"': '"',
  '\\': '\\',
};

/** A name as git quotes it (as in C, bytes as octal numbers), and what follows it. */
function quoted(text: string): [name: string | undefined, after: string] {
  let name = '';
  for (let at = 1; at < text.length; at++) {
    const character = text[at]!;
    if (character === '"') return [name, text.slice(at + 1)];
    if (character !== '\\') {
      name += character;
      continue;
    }
    const octal = /^[0-3][0-7]{2}/.exec(text.slice(at + 1, at + 4))?.[0];
    const plain = escapes[text[at + 1] ?? ''];
    if (octal === undefined && plain === undefined) break;
    name += plain ?? String.fromCharCode(Number.parseInt(octal!, 8));
    at += octal === undefined ? 1 : 3;
  }
  return [undefined, ''];
}

/** The two names of `diff --git a/x b/x`; undefined if the line does not say where one ends. */
export function gitNames(text: string): [old: string, new: string] | undefined {
  const rest = text.trimEnd();
  if (rest.startsWith('"')) {
    const [old, after] = quoted(rest);
    const second = gitName(after.trimStart());
    return old === undefined || second === undefined ? undefined : [old, second];
  }
  const words = rest.split(' ');
  if (words.length === 2) {
    const second = gitName(words[1]!);
    return second === undefined ? undefined : [words[0]!, second];
  }
  if (rest.length > 4096) return undefined;
  // Names with spaces are only unambiguous where both are the same below their prefix.
  for (let space = rest.indexOf(' '); space >= 0; space = rest.indexOf(' ', space + 1)) {
    const [old, second] = [rest.slice(0, space), rest.slice(space + 1)];
    const after = gitName(second);
    if (after !== undefined && (old === after || stripped(old, 1) === stripped(after, 1))) return [old, after];
    if (second.startsWith('"') && after !== undefined) return [old, after];
  }
  return undefined;
}

function gitName(text: string): string | undefined {
  if (!text.startsWith('"')) return text;
  const [name, after] = quoted(text);
  return after === '' ? name : undefined;
}

/** The name of `rename from` and its like. */
export function bareName(text: string): string | undefined {
  const rest = text.endsWith('\r') ? text.slice(0, -1) : text;
  return gitName(rest);
}

/**
 * The name without its first `level` parts, as `patch -p` strips it: neighbouring slashes count as one, and a slash at the
 * start counts as a part. Undefined where the name has fewer parts.
 */
export function stripped(name: string, level: number): string | undefined {
  let at = 0;
  for (let left = level; left > 0; left--) {
    const slash = name.indexOf('/', at);
    if (slash < 0) return undefined;
    at = slash + 1;
    while (name[at] === '/') at++;
  }
  return at >= name.length ? undefined : name.slice(at);
}

/** How many levels can be stripped from a name. */
export function depthOf(name: string): number {
  return name.replace(/\/+/g, '/').split('/').length - 1;
}

/** A path below the tree without `.` and empty parts; undefined for one that leads out, or that no file can have. */
export function pathInTree(name: string | undefined): string | undefined {
  if (name === undefined || name.startsWith('/')) return undefined;
  const path = Buffer.from(name, 'latin1').toString('utf8');
  if (/[\p{Cc}\ufffd\u2028\u2029]/u.test(path)) return undefined;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.length === 0 || parts.includes('..') || name.endsWith('/') ? undefined : parts.join('/');
}

/** Hours by which a local time can differ from UTC (POSIX), seconds. */
const ZONES = { before: -25 * 3600, after: 26 * 3600 };

/** Whether `diff -N` means with this time that the file does not exist. Without its zone any is possible. */
function isEpoch(text: string): boolean {
  if (!/19(?:69|70)/.test(text)) return false;
  const seconds = timeOf(text) / 1000;
  return seconds > ZONES.before && seconds < ZONES.after;
}

/** Milliseconds since 1970; NaN where the text is not a time. */
function timeOf(text: string): number {
  const [, day, time, zone = ''] =
    /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?\s?(Z|[+-]\d\d:?\d\d)?$/.exec(text) ?? [];
  if (day !== undefined)
    return Date.parse(`${day}T${time}${zone === '' ? 'Z' : zone.replace(/(\d\d)(\d\d)$/, '$1:$2')}`);
  return text.length < 64 ? Date.parse(text) : Number.NaN;
}
