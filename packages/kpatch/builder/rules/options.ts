/** Options that a patch adds to the configuration: the kernel was configured without them, so the code that they guard stays out. */
import { failure } from '../../base/errors/error.ts';
import type { SourcePatch } from '../../source/patch.ts';

const isKconfig = (path: string): boolean => /(?:^|\/)Kconfig[^/]*$/.test(path);

/**
 * Refuses a patch whose code depends on an option that the patch itself adds. `matters` is false for files that are shown not to
 * matter to this kernel. Error: `configuration-added`.
 */
export function refuseNewOptions(
  patches: readonly SourcePatch[],
  matters: (file: string) => boolean,
  release: string,
): void {
  const files = patches.flatMap((patch) => patch.files).filter(({ path }) => matters(path));
  const linesOf = (kconfig: boolean, sign: string): string[] =>
    files
      .filter(({ path }) => isKconfig(path) === kconfig)
      .flatMap(({ hunks }) => hunks.flatMap(({ lines }) => lines.filter((line) => line.startsWith(sign))));
  const defined = (sign: string): Set<string> =>
    new Set(linesOf(true, sign).flatMap((line) => /^.\s*(?:menu)?config\s+(\w+)/.exec(line)?.[1] ?? []));
  const before = defined('-');
  const added = [...defined('+')].filter((name) => !before.has(name));
  if (added.length === 0) return;
  const words = new Set(linesOf(false, '+').flatMap((line) => line.match(/\bCONFIG_\w+/g) ?? []));
  const used = added.filter((name) => words.has(`CONFIG_${name}`) || words.has(`CONFIG_${name}_MODULE`));
  if (used.length === 0) return;
  const options = used.map((name) => `CONFIG_${name}`).join(', ');
  throw failure('configuration-added', { options, release }, {});
}
