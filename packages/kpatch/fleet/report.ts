/**
 * The three steps of a report: collect and sign, send, read the answer. Each may run in a process of its own, so that what
 * talks to the network can neither sign nor load anything.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { readBytes, writeAtomically } from '../base/files.ts';
import { formProblem } from '../documents/form.ts';
import type { Machine } from '../host/machine/machine.ts';
import { collectReport } from './collect.ts';
import { dropUpTo, putReport, readReportFile, waiting } from './outbox.ts';
import {
  type FleetAnswer,
  type FleetReport,
  type Membership,
  needMembership,
  type Place,
  readAnswer,
  readChain,
  writeChain,
} from './place.ts';
import { type HostKey, hostKeyOf, sealReport } from './seal.ts';
import { refusalOf, ServerConnection } from './send.ts';

/** The key of this machine. Errors: `file-unreadable`, `fleet-state`. */
export function readHostKey(place: Place): HostKey {
  const pem = readBytes(place.key);
  try {
    return hostKeyOf(pem);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw failure('fleet-state', { file: place.key, problem }, { where: { file: place.key }, cause });
  }
}

/** Signs a report and puts it into the outbox. Errors: `fleet-not-joined`, those of the key, `disk-full`. */
export function collect(machine: Machine, place: Place): { report: FleetReport; bytes: number } {
  const { host } = needMembership(place);
  const key = readHostKey(place);
  const chain = readChain(place);
  const report = collectReport(machine, host, chain);
  const sealed = sealReport(report, key);
  // First the counter: a report that was lost is noticed, a counter that is used twice looks like a copy of this machine.
  const after = { ...chain, counter: report.counter, link: report.link };
  writeChain(place, after);
  const dropped = putReport(place, report.counter, sealed);
  if (dropped > 0) writeChain(place, { ...after, dropped: chain.dropped + dropped });
  return { report, bytes: Buffer.byteLength(sealed) };
}

export interface Sent {
  readonly sent: number;
  readonly waiting: number;
  readonly answer: FleetAnswer | undefined;
}

/** Sends what the outbox holds and the server does not have. Errors: `fleet-not-joined`, `fleet-unreachable`, `fleet-refused`. */
export async function send(place: Place): Promise<Sent> {
  const membership = needMembership(place);
  using server = ServerConnection.of(membership.url, place);
  let answer = answerFor(membership, readAnswer(place));
  let sent = 0;
  for (const counter of waiting(place)) {
    if (answer !== undefined && counter <= answer.taken) continue;
    const got = await server.post('/v1/report', readReportFile(place, counter));
    if (got.status !== 200 && got.status !== 409)
      throw failure('fleet-refused', { url: membership.url, problem: refusalOf(got) });
    const problem = formProblem('kpatch.fleet-answer/1', got.body);
    if (problem !== undefined)
      throw failure('fleet-refused', { url: membership.url, problem: `its answer has another form: ${problem}` });
    answer = got.body as FleetAnswer;
    sent++;
    mkdirSync(dirname(place.answer), { recursive: true, mode: 0o755 });
    writeAtomically(place.answer, `${JSON.stringify(answer)}\n`, 0o644);
    // A copy must not go on: every report would be refused.
    if (answer.standing === 'cloned' || answer.standing === 'left') break;
  }
  const left = waiting(place).filter((counter) => counter > (answer?.taken ?? 0)).length;
  return { sent, waiting: left, answer };
}

/** An answer to another key, of a fleet that this machine has left, does not count. */
function answerFor({ host }: Membership, answer: FleetAnswer | undefined): FleetAnswer | undefined {
  return answer?.host === host ? answer : undefined;
}

/** What the answer of the server changed. */
export interface Settled {
  readonly standing: FleetAnswer['standing'] | undefined;
  /** True if the server chose other patches than before, so that an update has something to do. */
  readonly chosen: boolean;
}

/** Reads what the sending process left. Errors: `fleet-not-joined`, `disk-full`. */
export function settle(place: Place): Settled {
  const membership = needMembership(place);
  const answer = answerFor(membership, readAnswer(place));
  if (answer === undefined) return { standing: undefined, chosen: false };
  const chain = readChain(place);
  const chosen = JSON.stringify(answer.choices) !== JSON.stringify(chain.choices);
  writeChain(place, {
    ...chain,
    // A restored machine has used fewer numbers than the server has seen; it goes on from there.
    counter: Math.max(chain.counter, answer.counter),
    modules: answer.modules,
    choices: answer.choices,
    standing: answer.standing,
  });
  dropUpTo(place, answer.taken);
  return { standing: answer.standing, chosen };
}
