/**
 * Errors are values of one small class. Each has an entry in the catalogue (what happened, why it matters, what to do)
 * and says where it happened. The entry determines the exit status of the command.
 */

import { type ErrorCode, entryOf, type ParamsOf } from './catalogue.ts';
import { plural } from './plural.ts';

/** Exit status of every command: 0 done, 1 failed, 2 wrong usage, 3 nothing to do, 4 refused as unsafe. */
export type ExitStatus = 0 | 1 | 2 | 3 | 4;

/** Where the error occurred; unknown parts are undefined. Offsets are bytes from the start of the section or file. */
export interface Where {
  readonly file?: string;
  readonly line?: number;
  readonly section?: string;
  readonly offset?: number;
  readonly symbol?: string;
  readonly function?: string;
  readonly object?: string;
}

/** Optional context of an error: the place, verbatim output (compiler, console) and the cause. */
export interface Circumstances {
  readonly where?: Where;
  readonly detail?: string;
  readonly cause?: unknown;
  /** For exit status 3: why there is nothing to do (the words are in documents/parts.ts). */
  readonly reason?: string;
  /** For wrong usage: the command that was given and its usage line. */
  readonly command?: CommandUsage;
  /** Changed files that are not in the result, each with the reason. */
  readonly leftOut?: readonly { readonly file: string; readonly reason: string }[];
}

/** A command as its help names it. */
export interface CommandUsage {
  /** `kpatch kernel add`. */
  readonly name: string;
  /** `kpatch kernel add [options] [RELEASE]`. */
  readonly usage: string;
}

export class KpatchError extends Error {
  readonly code: ErrorCode;
  readonly exit: ExitStatus;
  readonly why: string;
  readonly fix: string;
  readonly where: Where;
  readonly detail: string | undefined;
  /** For wrong usage of a known command: its usage line. */
  readonly usage: string | undefined;
  readonly reason: string | undefined;
  readonly leftOut: Circumstances['leftOut'];

  constructor(code: ErrorCode, params: Readonly<Record<string, Value>>, circumstances: Circumstances = {}) {
    const entry = entryOf(code);
    super(fill(entry.what, params), { cause: circumstances.cause });
    this.name = 'KpatchError';
    this.code = code;
    this.exit = entry.exit;
    this.why = documentPaths(fill(entry.why, params));
    const { command } = circumstances;
    this.fix = command === undefined ? documentPaths(fill(entry.fix, params)) : `run \`${command.name} --help\``;
    this.usage = command?.usage;
    this.where = circumstances.where ?? {};
    this.detail = circumstances.detail;
    this.reason = circumstances.reason;
    this.leftOut = circumstances.leftOut;
  }

  /** The error as plain data, as `--json` prints it. */
  toJSON(): object {
    const { code, message: what, where, why, fix, detail } = this;
    const { usage, reason, leftOut } = this;
    return {
      code,
      what,
      where,
      why,
      fix,
      ...(detail === undefined ? {} : { detail }),
      ...(usage === undefined ? {} : { usage }),
      ...(reason === undefined ? {} : { reason }),
      ...(leftOut === undefined ? {} : { leftOut }),
    };
  }
}

export type Value = string | number | bigint;

/**
 * Creates the error of the catalogue entry `code`; the parameters are those that the entry's texts name in braces.
 * It returns the error and leaves throwing to the caller, so that the type checker sees where control flow ends.
 */
export function failure<C extends ErrorCode>(
  code: C,
  params: Readonly<Record<ParamsOf<C>, Value>>,
  circumstances?: Circumstances,
): KpatchError {
  return new KpatchError(code, params as Readonly<Record<string, Value>>, circumstances);
}

/** Fills in the parameters; `{count function}` prints a count with its noun, as `{count patch/patches}` with its plural. */
function fill(template: string, params: Readonly<Record<string, Value>>): string {
  return template.replace(/\{(\w+)(?: ([^}]+))?\}/g, (whole, name: string, noun: string | undefined) => {
    const value = params[name];
    if (value === undefined) return whole;
    if (noun === undefined || typeof value === 'string') return String(value);
    const [one = '', many] = noun.split('/');
    return plural(value, one, many);
  });
}

/** The packaged executable stands for Node itself. */
const isPackaged = !/\/node$/.test(process.execPath);

/** Entries name documents as they are in a checkout; the packages install them in another folder. */
function documentPaths(text: string): string {
  return isPackaged ? text.replace(/\bdocs\/(?=[\w-]+\.md\b)/g, '/usr/share/doc/kpatch/') : text;
}

/** The place on one line, most general part first: `fix.patch line 12`, `a.o .text.f+0x10 (symbol f)`. */
export function renderWhere(where: Where): string {
  const parts: string[] = [];
  if (where.object !== undefined) parts.push(where.object);
  if (where.file !== undefined) parts.push(where.line === undefined ? where.file : `${where.file} line ${where.line}`);
  if (where.section !== undefined) {
    parts.push(where.offset === undefined ? where.section : `${where.section}+0x${where.offset.toString(16)}`);
  } else if (where.offset !== undefined) parts.push(`offset 0x${where.offset.toString(16)}`);
  if (where.function !== undefined) parts.push(`function ${where.function}`);
  if (where.symbol !== undefined) parts.push(`symbol ${where.symbol}`);
  return parts.join(', ');
}
