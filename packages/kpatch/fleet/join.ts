/** Joining and leaving a fleet. Leaving removes everything that joining and reporting made. */
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { writeAtomically } from '../base/files.ts';
import { requireInside } from '../base/inside.ts';
import { hasSystemd } from '../channel/follow/units.ts';
import type { fleetJoinedDocument } from '../documents/definitions/fleet.ts';
import { formProblem, type Stored } from '../documents/form.ts';
import { watchFromNowOn, watchNoMore } from '../host/boot/boot.ts';
import type { Machine } from '../host/machine/machine.ts';
import { machineDigest, machineName } from './collect.ts';
import { type Membership, membershipOf, needMembership, type Place, placeIn } from './place.ts';
import { readHostKey } from './report.ts';
import { hostKeyOf, joinText, newHostKey } from './seal.ts';
import { refusalOf, ServerConnection } from './send.ts';
import { removeReportUnits, writeReportUnits } from './units.ts';

export interface JoinOptions {
  readonly url: string;
  /** The one-time token that an administrator of the server made. */
  readonly token: string;
  /** Certificates (PEM) of which the server must have one; undefined: those of the system. */
  readonly authorities: string | undefined;
  readonly root: string;
}

export interface Joined {
  readonly membership: Membership;
  readonly labels: readonly string[];
  readonly timer: boolean;
}

/**
 * Makes a key, joins with it, and starts the timer. Errors: `fleet-joined-already`, `fleet-url`, `not-root`,
 * `fleet-unreachable`, `fleet-refused`; then nothing has changed.
 */
export async function joinFleet(machine: Machine, { url, token, authorities, root }: JoinOptions): Promise<Joined> {
  const place = placeIn(root);
  keepInside(root, place);
  if (!machine.offline && !machine.isRoot) throw failure('not-root', {});
  const before = membershipOf(place);
  if (before !== undefined) throw failure('fleet-joined-already', { url: before.url });
  const address = fleetAddress(url);
  if (!/^[A-Za-z0-9_-]{20,100}$/.test(token)) throw failure('fleet-token', {});
  const pem = newHostKey();
  const key = hostKeyOf(pem);
  using server = new ServerConnection(address, authorities);
  const request = {
    schema: 'kpatch.fleet-join-request/1',
    token,
    key: key.public.toString('base64'),
    machine: machineDigest(machine),
    name: machineName(machine),
    signature: key.sign(joinText(token)).toString('base64'),
  };
  const answer = await server.post('/v1/join', JSON.stringify(request));
  const problem = answer.status === 200 ? formProblem('kpatch.fleet-joined/1', answer.body) : refusalOf(answer);
  if (problem !== undefined) throw failure('fleet-refused', { url: address, problem });
  const { labels, intervalSeconds } = answer.body as Stored<typeof fleetJoinedDocument>;
  const joined = machine.clock.date().toISOString();
  const membership = {
    schema: 'kpatch.fleet-membership/1',
    url: address,
    host: key.id,
    joined,
    intervalSeconds,
  } as const;
  removeState(place);
  mkdirSync(place.settings, { recursive: true, mode: 0o755 });
  writeAtomically(place.key, pem, 0o600);
  if (authorities !== undefined) writeAtomically(place.authorities, authorities, 0o644);
  // Last: from here on this machine belongs to the fleet.
  writeAtomically(place.membership, `${JSON.stringify(membership, null, 1)}\n`, 0o644);
  await writeReportUnits(root, intervalSeconds, key.id);
  await watchFromNowOn(machine);
  return { membership, labels, timer: hasSystemd(root) };
}

/** Error: `fleet-url`. Without TLS only this machine itself is believed. */
function fleetAddress(url: string): string {
  const address = url.replace(/\/+$/, '');
  const local = /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?(?:\/|$)/.test(address);
  if ((local || address.startsWith('https://')) && /^[^\s'"\\]+$/.test(address) && URL.canParse(address))
    return address;
  throw failure('fleet-url', { url });
}

export interface Left {
  readonly url: string;
  /** False if the server could not be told. */
  readonly told: boolean;
  readonly problem?: string;
}

/** Tells the server, stops the timer and removes every file. Errors: `fleet-not-joined`, `not-root`. */
export async function leaveFleet(machine: Machine, root: string): Promise<Left> {
  const place = placeIn(root);
  keepInside(root, place);
  if (!machine.offline && !machine.isRoot) throw failure('not-root', {});
  const { url, host } = needMembership(place);
  const problem = await tell(place, url, host).catch((error: unknown) => {
    if (error instanceof KpatchError) return error.message;
    throw error;
  });
  await removeReportUnits(root);
  await watchNoMore(machine);
  removeState(place);
  rmSync(place.settings, { recursive: true, force: true });
  removeIfEmpty(dirname(place.settings));
  return { url, told: problem === undefined, ...(problem === undefined ? {} : { problem }) };
}

async function tell(place: Place, url: string, host: string): Promise<string | undefined> {
  const key = readHostKey(place);
  using server = ServerConnection.of(url, place);
  const at = new Date().toISOString();
  const signature = key.sign(Buffer.from(`kpatch-fleet-leave ${host} ${at}`)).toString('base64');
  const answer = await server.post('/v1/leave', JSON.stringify({ host, at, signature }));
  return answer.status === 200 ? undefined : refusalOf(answer);
}

function removeState(place: Place): void {
  for (const folder of [place.state, place.sender, place.sender.replace(/[^/]+$/, 'private/kpatch-send')])
    rmSync(folder, { recursive: true, force: true });
}

function removeIfEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

/** Error: `usage` if a link in an image leads out of it. */
function keepInside(root: string, { settings, state, sender }: Place): void {
  if (root !== '/') requireInside(root, [settings, state, sender]);
}
