/** Variables whose place changes and nothing else: those of a running kernel stay where they are. */

import type { Pair } from '../parts/pair.ts';
import { isFunction, type Part } from '../parts/part.ts';
import { storageOf } from '../parts/section-class.ts';
import { leaveOut } from './left-out.ts';

/**
 * Leaves out that a variable becomes read-only after init, and that one in a section of several gets a larger alignment. A move
 * between sections for speed (`__read_mostly`) has no meaning.
 */
export function leaveOutPlaces(pair: Pair): void {
  const fresh = new Set(
    pair.patched.parts.filter(({ twin, class: kind }) => twin === undefined && kind === 'writable'),
  );
  for (const part of pair.patched.parts) {
    const { twin, name, section, phase } = part;
    if (twin === undefined || phase !== 'always' || isFunction(part) || part.class !== 'writable') continue;
    const [before, after] = [storageOf(twin.section.name), storageOf(section.name)];
    const at = { reason: 'place', name, section: section.name } as const;
    if (before === 'ordinary' && after === 'read-only after init')
      leaveOut(pair, {
        ...at,
        text: `${name} stays writable in the running kernel although it is now read-only after init`,
      });
    else if (isAligned(part, fresh)) {
      const [had, has] = [twin.section.addralign, section.addralign];
      leaveOut(pair, {
        ...at,
        text: `${name} may need an alignment of ${has} bytes in ${section.name}; its section had ${had}`,
      });
    }
  }
}

/**
 * True if the part can be the one because of which its section has a larger alignment. Sections by which the kernel sorts variables
 * hold several, so it is not certain which one it is; it is no other one than a new variable that can be it.
 */
function isAligned(part: Part, fresh: ReadonlySet<Part>): boolean {
  const { section, start, twin } = part;
  const has = section.addralign;
  if (!(part.shared || twin!.shared) || has <= twin!.section.addralign) return false;
  if (/\.\.read_mostly\b/.test(section.name) && section.name !== twin!.section.name) return false;
  const fits = (one: Part): boolean => one.section === section && one.start % has === 0;
  return start % has === 0 && ![...fresh].some(fits);
}
