/** The result of `kpatch auto` and `kpatch update`, for people. */
import type { Updated } from '../../channel/follow/status.ts';

/** One line for each change, followed by what is pending or unknown. */
export function updateText(updated: Updated): string {
  const lines = [
    ...updated.changes.map(
      ({ package: name, from, to }) => `${name}: ${from === '' ? 'installed' : from} ${from === '' ? to : `→ ${to}`}`,
    ),
    ...updated.waiting.map((waiting) => `not active yet: ${waiting}`),
    ...updated.unknown.map((release) => `${release}: no live patches in this channel`),
  ];
  return lines.length === 0 ? 'everything is up to date' : lines.join('\n');
}
