/** The error for a pair of objects whose changes all have no effect in a running kernel. */
import { fail, type KpatchError } from '../base/errors/error.ts';
import type { LeftOutChange } from './options.ts';

/** Names listed in the message itself; the detail has all. */
const LISTED = 4;

/** Error `diff-left-out` with all changes in its detail. */
export function leftOutError(leftOut: readonly LeftOutChange[], file?: string): KpatchError {
  const names = [...new Set(leftOut.map(({ name, section }) => `${name} (${section})`))];
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  const changes = `${names.slice(0, LISTED).join(', ')}${more}`;
  return fail(
    'diff-left-out',
    { changes },
    { where: file === undefined ? {} : { file, offset: 0 }, detail: leftOut.map(({ text }) => text).join('\n') },
  );
}
