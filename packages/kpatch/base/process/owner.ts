/** Whose folder it is that a service keeps its data in. */
import { readFileSync, statSync } from 'node:fs';
import { failure } from '../errors/error.ts';

/**
 * Keeps root from working in a folder of a service's account: the service could not change what root writes there, and
 * links that it put there would lead root elsewhere. A folder that does not exist yet is nobody's. Error: `folder-owner`.
 */
export function requireOwnFolder(folder: string, user: number | undefined = process.geteuid?.()): void {
  const owner = statSync(folder, { throwIfNoEntry: false })?.uid ?? 0;
  if (user === 0 && owner !== 0) throw failure('folder-owner', { folder, owner: nameOf(owner) });
}

/** The name of a local account; its number where /etc/passwd does not have it. */
function nameOf(user: number): string {
  const fields = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  return fields.find((account) => account[2] === String(user))?.[0] ?? String(user);
}
