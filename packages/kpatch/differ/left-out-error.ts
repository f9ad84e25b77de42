/** The error for a pair of objects whose changes all have no effect in a running kernel. */
import { type Circumstances, failure, type KpatchError } from '../base/errors/error.ts';
import type { LeftOutChange } from './options.ts';

/**
 * The error for a patch that changes nothing in the running kernel: `no-change` only where the compiled objects mean the same,
 * `change-overridden` where the kernel does not contain the changed functions, else `diff-left-out`. `notes` go into the detail; `files` are
 * changed files that were not compiled.
 */
export function noEffectError(
  leftOut: readonly LeftOutChange[],
  notes: readonly string[],
  release: string,
  files: Circumstances['leftOut'] = [],
): KpatchError {
  if (leftOut.some(({ reason }) => reason !== 'overridden')) return leftOutError(leftOut);
  const more = { leftOut: files, ...(notes.length === 0 ? {} : { detail: notes.join('\n') }) };
  if (leftOut.length === 0) return failure('no-change', { release }, { ...more, reason: 'same-code' });
  const functions = [...new Set(leftOut.map(({ name }) => name))].join(', ');
  return failure('change-overridden', { release, functions }, { ...more, reason: 'overridden' });
}

/** Names listed in the message itself; the detail has all. */
const LISTED = 4;

/** Error `diff-left-out` with all changes in its detail. */
export function leftOutError(leftOut: readonly LeftOutChange[], file?: string): KpatchError {
  const names = [...new Set(leftOut.map(({ name, section }) => `${name} (${section})`))];
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  const changes = `${names.slice(0, LISTED).join(', ')}${more}`;
  return failure(
    'diff-left-out',
    { changes },
    { where: file === undefined ? {} : { file, offset: 0 }, detail: leftOut.map(({ text }) => text).join('\n') },
  );
}
