/** Compilers of the tests that not every release of Debian has: the next one that this machine has takes their place. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The first of these programs in PATH; the last one if there is none, so that the test names it. */
function firstOf(...programs: readonly [string, ...string[]]): string {
  const folders = (process.env.PATH ?? '').split(':');
  return programs.find((program) => folders.some((folder) => existsSync(join(folder, program)))) ?? programs.at(-1)!;
}

/** Another gcc than the one that most tests use: gcc-11 where the release has it. */
export const otherGcc = firstOf('gcc-11', 'gcc-13', 'gcc-14', 'gcc');
/** An old clang where the release has it. */
export const oldClang = firstOf('clang-14', 'clang-19');
