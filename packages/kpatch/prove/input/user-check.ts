/**
 * Checks of the user. A shell script runs in the guest while the patch is loaded; the check holds if the script exits with
 * status 0, and its output is the evidence. A TypeScript file has a `GuestCheck` as its default export.
 */
import { basename, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { seconds } from '../proof-text.ts';
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';

export interface UserCheck {
  readonly file: string;
  readonly sha256: string;
  readonly check: GuestCheck;
}

/** Loads a check from a `.sh`, `.ts`, `.mjs` or `.js` file. Errors: `file-unreadable`, `prove-user-check`. */
export async function readUserCheck(file: string): Promise<UserCheck> {
  const bytes = readBytes(file);
  const extension = extname(file);
  const id = basename(file, extension).replace(/[^\w-]/g, '-');
  if (['.ts', '.mjs', '.js'].includes(extension)) {
    return { file, sha256: sha256(bytes), check: await imported(file) };
  }
  if (bytes.length === 0 || bytes.includes(0) || bytes.length > 1_000_000) {
    throw failure('prove-user-check', { file, problem: 'it is empty, larger than 1 MB, or not text' });
  }
  return { file, sha256: sha256(bytes), check: scripted(id, bytes.toString('utf8')) };
}

/** The claim of a script is the first comment after the interpreter line. */
function scripted(id: string, script: string): GuestCheck {
  const claim = /^(?:#!.*\n)?#\s*(\S.*)$/m.exec(script)?.[1] ?? `the check ${id}`;
  return {
    id,
    title: claim,
    where: 'guest',
    async *run(session) {
      const { status, output, ms } = await session.sh(script, { step: `the check ${id}`, deadlineMs: 120_000 });
      yield { text: `exited with status ${status}`, data: { status } };
      yield { text: `it took ${seconds(ms)}`, detail: output, varies: true };
      if (status !== 0) throw new ClaimFailed(`it exited with status ${status}`, output);
    },
  };
}

async function imported(file: string): Promise<GuestCheck> {
  const refuse = (problem: string, cause?: unknown): Error => failure('prove-user-check', { file, problem }, { cause });
  let check: unknown;
  try {
    check = ((await import(pathToFileURL(resolve(file)).href)) as { default?: unknown }).default;
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const { id, title, run } = (check ?? {}) as Partial<GuestCheck>;
  if (typeof id !== 'string' || !/^[\w-]+$/.test(id) || typeof title !== 'string' || typeof run !== 'function') {
    throw refuse('its default export is not a check: it needs id, title and run');
  }
  return { ...(check as GuestCheck), where: 'guest' };
}
