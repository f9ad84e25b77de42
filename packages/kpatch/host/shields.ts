/** Shields among the loaded patches: a shield protects for a time, and is no fix. */
import type { Manifest } from '../module/manifest.ts';

/** What to do about a shield that has ended; undefined if it still protects, or if the patch is no shield. */
export function shieldTodo(name: string, manifest: Manifest | undefined, now: Date): string | undefined {
  const shield = manifest?.shield;
  if (shield?.until === undefined || now < new Date(shield.until)) return undefined;
  return `${name} ended on ${shield.until.slice(0, 10)}: ${shield.function} no longer refuses calls; load the fix, or build a new shield`;
}
