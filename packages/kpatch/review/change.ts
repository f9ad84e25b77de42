/** What a patch changes, function by function: the statements that it removes and adds. */
import { diffArrays } from 'diff';
import { type CCall, type CFunction, callsIn, functionsIn } from '../source/c-functions.ts';

/** A source file before and after the patch; empty where it does not exist. */
export interface FileChange {
  readonly file: string;
  readonly before: string;
  readonly after: string;
}

export interface FunctionChange {
  readonly name: string;
  readonly file: string;
  /** Undefined for a new function. */
  readonly before: CFunction | undefined;
  /** Undefined for a removed one. */
  readonly after: CFunction | undefined;
  readonly removed: readonly Statement[];
  readonly added: readonly Statement[];
}

/** A piece of a body up to `;`, `{` or `}`, white space as single spaces. */
export interface Statement {
  readonly text: string;
  /** In its own version of the file, from 1. */
  readonly line: number;
}

export interface Change {
  readonly files: readonly FileChange[];
  /** Functions whose text differs. */
  readonly functions: readonly FunctionChange[];
  /** Functions of the changed files whose text stays. */
  readonly unchanged: readonly (CFunction & { readonly file: string })[];
  /** Other source that mentions a changed function, by file. */
  readonly mentions: ReadonlyMap<string, string>;
}

/** Compares the versions of the files. */
export function changeOf(files: readonly FileChange[], mentions: ReadonlyMap<string, string> = new Map()): Change {
  const functions: FunctionChange[] = [];
  const unchanged: (CFunction & { file: string })[] = [];
  for (const { file, before, after } of files) {
    const old = byName(functionsIn(before));
    const now = byName(functionsIn(after));
    for (const name of new Set([...old.keys(), ...now.keys()])) {
      const [then, next] = [old.get(name), now.get(name)];
      const [was, is] = [statementsOf(then), statementsOf(next)];
      const parts = diffArrays(was, is, { comparator: (a, b) => a.text === b.text });
      const removed = parts.filter((part) => part.removed).flatMap(({ value }) => value);
      const added = parts.filter((part) => part.added).flatMap(({ value }) => value);
      const same = removed.length === 0 && added.length === 0 && then?.head === next?.head;
      if (!same) functions.push({ name, file, before: then, after: next, removed, added });
      else if (next !== undefined) unchanged.push({ ...next, file });
    }
  }
  return { files, functions, unchanged, mentions };
}

function byName(functions: readonly CFunction[]): Map<string, CFunction> {
  return new Map(functions.map((one) => [one.name, one]));
}

function statementsOf(one: CFunction | undefined): Statement[] {
  if (one === undefined) return [];
  const first = one.line + one.head.split('\n').length - 1;
  const found: Statement[] = [];
  let line = first;
  let start = 0;
  let depth = 0;
  for (let at = 0; at < one.body.length; at++) {
    const char = one.body[at]!;
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if ('{};'.includes(char) && (depth <= 0 || char !== ';')) {
      const text = one.body.slice(start, at).replace(/\s+/g, ' ').trim();
      if (text !== '') found.push({ text, line: line + leading(one.body.slice(start, at)) });
      line += one.body.slice(start, at).split('\n').length - 1;
      start = at + 1;
    }
  }
  return found;
}

function leading(text: string): number {
  return /^\s*/.exec(text)![0].split('\n').length - 1;
}

/** The calls in statements, each with its statement. */
export function callsOf(statements: readonly Statement[]): (CCall & { readonly statement: Statement })[] {
  return statements.flatMap((statement) => callsIn(statement.text).map((call) => ({ ...call, statement })));
}

/** The last member of an expression: `timer` of `&dev->part.timer`; undefined for a plain variable. */
export function memberOf(expression: string): string | undefined {
  return /(?:->|\.)\s*(\w+)\s*(?:\[[^\]]*\])?\s*\)*\s*$/.exec(expression)?.[1];
}

/** Members of objects behind a pointer that the statement writes, and all members that it reads. */
export function membersOf({ text }: Statement): {
  readonly written: readonly string[];
  readonly read: readonly string[];
} {
  const plain = text.replace(/\b(?:READ|WRITE)_ONCE\b/g, '');
  const assigned = [
    ...plain.matchAll(/((?:->|\.)\s*\w+|[\w\])]\s*->[\w.\->[\]\s]*?\w)\s*(?:\[[^\]]*\])?\s*(?:[|&+\-^]|<<|>>)?=(?!=)/g),
  ];
  const written = assigned
    .filter((match) => plain.slice(startOf(plain, match.index), match.index + match[0].length).includes('->'))
    .map(([, path]) => /(\w+)$/.exec(path!.trim())![1]!);
  const all = [...plain.matchAll(/(?:->|\.)\s*(\w+)/g)].map(([, name]) => name!);
  const set = assigned.map(([, path]) => /(\w+)$/.exec(path!.trim())![1]!);
  return { written, read: [...new Set(all.filter((name) => count(all, name) > count(set, name)))] };
}

/** Where the expression that contains `at` starts. */
function startOf(text: string, at: number): number {
  return text.slice(0, at).search(/[\w.>\-[\]]*$/);
}

function count(list: readonly string[], name: string): number {
  return list.filter((one) => one === name).length;
}

/** The place of a statement for people. */
export function placeOf({ file }: Pick<FunctionChange, 'file'>, statement: Statement | undefined): string {
  return statement === undefined ? file : `${file}:${statement.line}`;
}
