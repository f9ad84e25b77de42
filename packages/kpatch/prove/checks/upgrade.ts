/** Upgrades from each previous patch to this one by atomic replace, and back. */

import type { Subject } from '../input/subject.ts';
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed, type Evidence } from '../run/event.ts';
import { insert, livePatches, remove, takeOut, waitForTransition } from '../run/guest/livepatch.ts';
import { runTestOnce } from './late-modules.ts';

export const upgrade: GuestCheck = {
  id: 'upgrade',
  title: 'it replaces each previous patch, and each previous patch replaces it',
  where: 'guest',
  applies: ({ predecessors }) => predecessors.length > 0,
  async *run(session) {
    for (const other of session.predecessors) yield* around(session, other);
  },
};

async function* around(session: Session, other: Subject): AsyncGenerator<Evidence, void> {
  const { subject } = session;
  if (other.name === subject.name) {
    throw new ClaimFailed(`${other.file} has the same module name, ${other.name}, so the kernel cannot load both`);
  }
  await insert(session, other);
  await waitForTransition(session, other.name, 'patched');
  yield { text: `${other.name} is active` };
  await replace(session, other, subject);
  await runTestOnce(session);
  yield { text: `replaced by ${subject.name}; the module of ${other.name} was removed` };
  await replace(session, subject, other);
  yield { text: `replaced back by ${other.name}` };
  await replace(session, other, subject);
  await runTestOnce(session);
  await takeOut(session, subject);
  yield { text: `replaced again by ${subject.name}, which was then unloaded` };
}

/** Loads `next` over `current`; afterwards only `next` is active, and the module of `current` is removed. */
async function replace(session: Session, current: Subject, next: Subject): Promise<void> {
  await insert(session, next);
  await waitForTransition(session, next.name, 'patched');
  const patches = await livePatches(session);
  if (patches.has(current.name)) {
    throw new ClaimFailed(`${next.name} does not replace ${current.name}: both are active (atomic replace is off)`);
  }
  await remove(session, current);
}
