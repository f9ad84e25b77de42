/** What the server of a fleet chose. It is small, because every update asks it. */
import { existsSync } from 'node:fs';
import type { Choose } from '../channel/follow/tuf/choice.ts';
import { type Place, placeIn, readChain } from './place.ts';

export { placeIn };

/** The digest of the patch that was chosen for each kernel; undefined if this machine belongs to no fleet. */
export function fleetChoice(place: Place): Choose | undefined {
  if (!existsSync(place.membership)) return undefined;
  const { choices } = readChain(place);
  return (release) => choices.find((one) => one.release === release)?.sha256;
}
