/** The files of `include/kpatch/`. The packaged executable has their texts inside (tools/packages/executable.ts). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The headers for patch authors by name, with their text. */
export function authorHeaders(): ReadonlyMap<string, string> {
  const folder = join(import.meta.dirname, '../include/kpatch');
  const names = readdirSync(folder).filter((name) => name.endsWith('.h'));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}
