/** The proof that accompanies a module file. By itself, so that commands that only look need nothing else of a proof. */
import { existsSync } from 'node:fs';
import { readBytes } from '../base/files.ts';

/** Where the proof of a module file lies. */
export function proofPath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.proof.json`;
}

/** The bytes of the proof next to a module file; undefined if there is none. Error: `file-unreadable`. */
export function proofBeside(module: string): Buffer | undefined {
  const file = proofPath(module);
  return existsSync(file) ? readBytes(file) : undefined;
}
