/** Changes that a live patch cannot make, by the kind of file. */
import { failure } from '../../base/errors/error.ts';

/** The refusal of a change to a file. Error: `source-kind-unsupported`. `kind` says what the file is, `reason` is a sentence. */
export function unsupportedChange(file: string, kind: string, reason: string): Error {
  return failure('source-kind-unsupported', { target: file, kind, reason }, { where: { file } });
}

/** The same for a source file that the patch removes; `part` is what runs its code. */
export function removedSource(file: string, part: 'kernel' | 'module'): Error {
  const kind = part === 'kernel' ? 'a removed source file' : 'a source file removed from the module';
  return unsupportedChange(file, kind, `its code stays in the running ${part}, where other code may still call it`);
}
