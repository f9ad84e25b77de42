/** Fixes that are cut out of the difference between two sources. */
import { dirname } from 'node:path';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import { random } from './files.ts';

/** A fix: one or several files of the difference, as one patch. */
export interface Fix {
  readonly name: string;
  readonly kind: 'source file' | 'header' | 'several files';
  readonly files: readonly string[];
}

/** Draws fixes: mostly single source files, some headers, some of all that changed in one folder. */
export function* draw(files: readonly string[], map: ObjectMap, seed: number): Generator<Fix> {
  const next = random(seed);
  const sources = files.filter((file) => file.endsWith('.c') && map.has(file.replace(/\.c$/, '.o')));
  const headers = files.filter((file) => file.endsWith('.h') && !file.startsWith('include/uapi'));
  const byFolder = new Map<string, string[]>();
  for (const file of files) byFolder.set(dirname(file), [...(byFolder.get(dirname(file)) ?? []), file]);
  const groups = [...byFolder.values()].filter(({ length }) => length > 1 && length <= 6);
  const take = <T>(list: T[]): T | undefined => list.splice(Math.floor(next() * list.length), 1)[0];
  const pools = { sources: [...sources], headers: [...headers], groups: [...groups] };
  while (pools.sources.length > 0) {
    const choice = next();
    const group = choice < 0.06 ? take(pools.groups) : undefined;
    const header = choice >= 0.06 && choice < 0.1 ? take(pools.headers) : undefined;
    const source = choice >= 0.1 ? take(pools.sources) : undefined;
    if (group !== undefined) yield { name: `${dirname(group[0]!)}/`, kind: 'several files', files: group };
    else if (header !== undefined) yield { name: header, kind: 'header', files: [header] };
    else if (source !== undefined) yield { name: source, kind: 'source file', files: [source] };
  }
}
