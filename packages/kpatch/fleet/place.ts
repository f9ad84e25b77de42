/** Reads and writes the files of the agent. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { writeAtomically } from '../base/files.ts';
import type {
  fleetAnswerDocument,
  fleetChainDocument,
  fleetMembershipDocument,
  fleetReportDocument,
} from '../documents/definitions/fleet.ts';
import type { Stored } from '../documents/form.ts';
import { storedDocument } from '../documents/form.ts';
import type { Place } from './paths.ts';

export { type Place, placeIn } from './paths.ts';

export type FleetReport = Stored<typeof fleetReportDocument>;
export type FleetAnswer = Stored<typeof fleetAnswerDocument>;
export type Membership = Stored<typeof fleetMembershipDocument>;
export type Chain = Stored<typeof fleetChainDocument>;
export type Choice = FleetAnswer['choices'][number];

/** The fleet of this machine; undefined if it belongs to none. Error: `fleet-state` if the file is damaged. */
export function membershipOf(place: Place): Membership | undefined {
  if (!existsSync(place.membership)) return undefined;
  try {
    return storedDocument('kpatch.fleet-membership/1', JSON.parse(readFileSync(place.membership, 'utf8')));
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw failure('fleet-state', { file: place.membership, problem }, { where: { file: place.membership }, cause });
  }
}

/** The same. Error: `fleet-not-joined`. */
export function needMembership(place: Place): Membership {
  const membership = membershipOf(place);
  if (membership === undefined) throw failure('fleet-not-joined', {});
  return membership;
}

const newChain: Chain = {
  schema: 'kpatch.fleet-chain/1',
  counter: 0,
  link: '',
  modules: '',
  choices: [],
  standing: 'normal',
  dropped: 0,
};

/** Where the reports have got to. A file that is missing or damaged counts as new: the server notices the break. */
export function readChain(place: Place): Chain {
  try {
    return storedDocument('kpatch.fleet-chain/1', JSON.parse(readFileSync(place.chain, 'utf8')));
  } catch {
    return newChain;
  }
}

export function writeChain(place: Place, chain: Chain): void {
  mkdirSync(dirname(place.chain), { recursive: true, mode: 0o755 });
  writeAtomically(place.chain, `${JSON.stringify(chain)}\n`, 0o644);
}

/** The answer that the sending process left; undefined if there is none that can be read. It is not trusted. */
export function readAnswer(place: Place): FleetAnswer | undefined {
  try {
    const text = readFileSync(place.answer, 'utf8');
    return text.length > 65_536 ? undefined : storedDocument('kpatch.fleet-answer/1', JSON.parse(text));
  } catch {
    return undefined;
  }
}
