/** What `kpatch auto` and `kpatch update` print of what they did. */
import type { Updated } from '../../channel/follow/follow.ts';

/** One line a change, then what could not be done. */
export function updateText(updated: Updated): string {
  const lines = [
    ...updated.changes.map(
      ({ package: name, from, to }) => `${name}: ${from === '' ? 'installed' : from} ${from === '' ? to : `→ ${to}`}`,
    ),
    ...updated.waiting.map((waiting) => `not in use yet: ${waiting}`),
    ...updated.unknown.map((release) => `${release}: this channel has no live patches for it`),
  ];
  return lines.length === 0 ? 'everything is up to date' : lines.join('\n');
}
