/**
 * The proof and the provenance that accompany a module file. By itself, so that commands that only look need nothing else of
 * them.
 */
import { existsSync } from 'node:fs';
import { readRegularFile } from '../base/files.ts';

/** What the names of the files end in that belong to a module, instead of `.ko`. */
export const companions = ['.proof.json', '.provenance.json'] as const;

/** Where the proof of a module file lies. */
export function proofPath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.proof.json`;
}

/** Where the provenance of a module file lies. */
export function provenancePath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.provenance.json`;
}

/** The bytes of the proof next to a module file; undefined if there is none. Error: `file-unreadable`. */
export function proofBeside(module: string): Buffer | undefined {
  return beside(proofPath(module));
}

/** The bytes of the provenance next to a module file; undefined if there is none. Error: `file-unreadable`. */
export function provenanceBeside(module: string): Buffer | undefined {
  return beside(provenancePath(module));
}

function beside(file: string): Buffer | undefined {
  return existsSync(file) ? readRegularFile(file) : undefined;
}
