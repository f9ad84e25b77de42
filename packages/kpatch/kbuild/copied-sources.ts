/**
 * Objects that kbuild compiles from a source of another name, by a rule of their Makefile:
 *
 *   $(obj)/i915-display/%.o: $(srctree)/drivers/gpu/drm/i915/display/%.c FORCE
 *
 * So xe has the display code of i915 in it, compiled with other settings, and purgatory has lib/crypto/sha256.c.
 */
import { posix } from 'node:path';

/** What grep looks for in Makefiles. Sources in `$(obj)` are generated and have no other name. */
export const copyRule =
  '^[$][(]obj[)]/[^:]*[.]o[[:space:]]*:[[:space:]]*[$][(](srctree|src)[)]/[^[:space:]]+[.][cS]([[:space:]]|$)';

const rule = /^\$\(obj\)\/([^\s:]*)\.o\s*:\s*\$\((srctree|src)\)\/(\S+)\.([cS])(?=\s|$)/gm;

/** The file that kbuild would compile if there was no rule, and the one that it compiles. */
export interface CopiedSource {
  readonly unit: string;
  readonly source: string;
}

/** The rules of one Makefile; of a pattern, each object that the Makefile names. */
export function copiedSources(makefile: string, text: string): CopiedSource[] {
  const folder = posix.dirname(makefile);
  const copies: CopiedSource[] = [];
  for (const [, target = '', base, path = '', suffix] of text.matchAll(rule)) {
    const source = posix.normalize(base === 'src' ? posix.join(folder, path) : path);
    for (const stem of stemsOf(target, text)) {
      const fill = (name: string): string => name.replace('%', stem);
      const copy = { unit: posix.join(folder, `${fill(target)}.${suffix}`), source: `${fill(source)}.${suffix}` };
      if (copy.unit !== copy.source) copies.push(copy);
    }
  }
  return copies;
}

/** What the `%` of a pattern stands for; one empty stem for a rule without it. */
function stemsOf(target: string, text: string): Set<string> {
  if (!target.includes('%')) return new Set(['']);
  const [before = '', after = ''] = target.split('%');
  const stems = new Set<string>();
  for (const [word] of text.matchAll(/(?<![\w%/.-])[\w./-]+\.o(?![\w.])/g)) {
    const name = word.slice(0, -'.o'.length);
    if (name.length > before.length + after.length && name.startsWith(before) && name.endsWith(after))
      stems.add(name.slice(before.length, name.length - after.length));
  }
  return stems;
}
