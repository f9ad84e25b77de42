/** Words and orders that the documents of a publication share. */
import { type Level, levels } from '../../../advisory/severity.ts';
import type { FixedCve } from '../../package/record.ts';

/** The worst severity among CVEs; `unrated` where none is rated. */
export function worst(cves: readonly FixedCve[]): Level | 'unrated' {
  const rated = cves.map((cve) => levels.indexOf(cve.severity as Level)).filter((rank) => rank >= 0);
  return rated.length === 0 ? 'unrated' : levels[Math.max(...rated)]!;
}
