/** Shield files: what a vendor publishes with an advisory, so that everybody can build the same shield. */
import { dirname, join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { parseStrict } from '../base/strict-json.ts';
import { isPlainText } from '../base/text/printable.ts';
import { shieldFileDocument } from '../documents/definitions/shield.ts';
import { type Content, problemIn } from '../documents/document.ts';

export interface ShieldFile extends Content<typeof shieldFileDocument> {
  /** Path of the test script, if the file names one. */
  readonly testFile: string | undefined;
}

/** Reads and checks a shield file. Errors: `file-unreadable`, `shield-file`. */
export function readShieldFile(file: string): ShieldFile {
  const bytes = readBytes(file);
  const refuse = (problem: string): Error => failure('shield-file', { file, problem }, { where: { file } });
  if (bytes.length > 64 * 1024) throw refuse('it is larger than 64 KiB');
  let value: unknown;
  try {
    value = parseStrict(bytes.toString('utf8'));
  } catch (error) {
    throw refuse(`it is not JSON: ${(error as Error).message}`);
  }
  const problem = problemIn(shieldFileDocument.schema, value);
  if (problem !== undefined) throw refuse(problem);
  const content = value as Content<typeof shieldFileDocument>;
  for (const [name, text] of Object.entries(content))
    if (typeof text === 'string' && !isPlainText(text)) throw refuse(`${name} contains control characters`);
  const { test } = content;
  if (test !== undefined && (test.includes('/') || test.startsWith('.')))
    throw refuse('test must be the name of a file beside it');
  return { ...content, testFile: test === undefined ? undefined : join(dirname(file), test) };
}

const units: Readonly<Record<string, number>> = { h: 3600, d: 86_400, w: 7 * 86_400 };

/** The time that is so long after `now`: `14d`, `36h`, `8w`. Error: `shield-expiry`. */
export function expiry(value: string, now: Date): Date {
  const [, number, unit] = /^(\d{1,5})([hdw])$/.exec(value) ?? [];
  if (number === undefined)
    throw failure('shield-expiry', { value: JSON.stringify(value), problem: 'it is not a number with a unit' });
  const seconds = Number(number) * units[unit!]!;
  if (seconds === 0 || seconds > 366 * 86_400)
    throw failure('shield-expiry', { value, problem: 'it must be more than nothing and at most a year' });
  return new Date((Math.floor(now.getTime() / 1000) + seconds) * 1000);
}
