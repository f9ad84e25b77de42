/** The folders that make reads when it builds for a kernel: what a sandbox has to show. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelPaths } from './target.ts';

/** The kernel's folder, its headers, and the source that the headers were built in, which kbuild's Makefile there names. */
export function kernelFolders({ root, headers }: Pick<KernelPaths, 'root' | 'headers'>): string[] {
  const source = join(headers, 'source');
  const makefile = join(headers, 'Makefile');
  const text = existsSync(makefile) ? readFileSync(makefile, 'latin1').slice(0, 4096) : '';
  // `include /path/Makefile` since Linux 4.20, `MAKEARGS := -C /path` before (scripts/mkmakefile).
  const named = /^(?:include (\/.+)\/Makefile|MAKEARGS := -C (\/\S+))$/m.exec(text);
  const folders = [root, headers, source, named?.[1] ?? named?.[2]];
  return folders.filter((folder) => folder !== undefined && existsSync(folder)).map((folder) => realpathSync(folder!));
}
