/** Reading what comes from outside: each accessor is total and gives nothing rather than a value of another type. */
import { failure } from './errors/error.ts';
import { readBytes } from './files.ts';

export type Plain = Readonly<Record<string, unknown>>;

/** The value as an object; an empty one where it is none. */
export function object(value: unknown): Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Plain) : {};
}

/** The value as a list; an empty one where it is none. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value where it is text. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The value where it is a finite number. */
export function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** The texts of a list. */
export function texts(value: unknown): string[] {
  return list(value).filter((item) => typeof item === 'string');
}

/** What may be in a JSON document, in bytes; an advisory is a few kilobytes, Debian's security tracker 70 MB. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Parses a JSON document. Error: `channel-not-json`. */
export function parseJSON(bytes: Uint8Array | string, file: string): unknown {
  if (bytes.length > MAX_BYTES) {
    throw failure('channel-not-json', { file, problem: 'it is larger than 256 MiB' }, { where: { file } });
  }
  try {
    return JSON.parse(typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')) as unknown;
  } catch (cause) {
    throw failure('channel-not-json', { file, problem: (cause as Error).message }, { where: { file }, cause });
  }
}

/** Reads a JSON document. Errors: `file-unreadable`, `channel-not-json`. */
export function readJSON(file: string): unknown {
  return parseJSON(readBytes(file), file);
}
