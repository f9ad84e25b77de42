/**
 * Errors are values of one small class. Each has an entry in the catalogue (what happened, why it matters, what to do)
 * and says where it happened; the exit status of the command follows from the entry.
 */
import { type ErrorCode, entryOf, type ParamsOf } from './catalogue.ts';

/** Exit status of every command: 0 done, 1 failed, 2 wrong usage, 3 nothing to do, 4 refused as unsafe. */
export type ExitStatus = 0 | 1 | 2 | 3 | 4;

/** The place an error speaks of; only what is known is set. Offsets are bytes from the start of the section or file. */
export interface Where {
  readonly file?: string;
  readonly line?: number;
  readonly section?: string;
  readonly offset?: number;
  readonly symbol?: string;
  readonly function?: string;
  readonly object?: string;
}

/** What an error may carry beside its parameters: the place, a verbatim text (compiler output, console), the cause. */
export interface Circumstances {
  readonly where?: Where;
  readonly detail?: string;
  readonly cause?: unknown;
}

export class KpatchError extends Error {
  readonly code: ErrorCode;
  readonly exit: ExitStatus;
  readonly why: string;
  readonly fix: string;
  readonly where: Where;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, params: Readonly<Record<string, Value>>, circumstances: Circumstances = {}) {
    const entry = entryOf(code);
    super(fill(entry.what, params), { cause: circumstances.cause });
    this.name = 'KpatchError';
    this.code = code;
    this.exit = entry.exit;
    this.why = fill(entry.why, params);
    this.fix = fill(entry.fix, params);
    this.where = circumstances.where ?? {};
    this.detail = circumstances.detail;
  }

  /** The error as plain data, the shape that `--json` prints. */
  toJSON(): object {
    const { code, message: what, where, why, fix, detail } = this;
    return { code, what, where, why, fix, ...(detail === undefined ? {} : { detail }) };
  }
}

export type Value = string | number | bigint;

/**
 * Makes the error of the catalogue entry `code`; the parameters are those that the entry's texts name in braces.
 * It returns the error: the caller throws it, so that the type checker sees where the way ends.
 */
export function fail<C extends ErrorCode>(
  code: C,
  params: Readonly<Record<ParamsOf<C>, Value>>,
  circumstances?: Circumstances,
): KpatchError {
  return new KpatchError(code, params as Readonly<Record<string, Value>>, circumstances);
}

function fill(template: string, params: Readonly<Record<string, Value>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in params ? String(params[name]) : whole));
}

/** The place in one line, most general part first: `fix.patch line 12`, `a.o .text.f+0x10 (symbol f)`. */
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

/** The error as a person reads it on a terminal; several lines, no newline at the end. */
export function renderError(error: KpatchError): string {
  const lines = [`kpatch: ${error.message} [${error.code}]`];
  const where = renderWhere(error.where);
  if (where !== '') lines.push(`  where: ${where}`);
  lines.push(`  why:   ${error.why}`, `  do:    ${error.fix}`);
  if (error.detail !== undefined && error.detail.trim() !== '') {
    lines.push(
      '',
      ...error.detail
        .trimEnd()
        .split('\n')
        .map((line) => `  | ${line}`),
    );
  }
  return lines.join('\n');
}
