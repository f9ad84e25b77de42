/** The kernel loads the module and switches every task to the new code. */
import { plural } from '../../base/errors/plural.ts';
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { insert, livePatches, waitForTransition } from '../run/guest/livepatch.ts';

export const loads: GuestCheck = {
  id: 'loads',
  title: 'the kernel loads the module',
  where: 'guest',
  needed: true,
  async *run(session) {
    const { subject } = session;
    await insert(session, subject);
    const patch = (await livePatches(session)).get(subject.name);
    if (patch === undefined)
      throw new ClaimFailed(`the module is loaded, but /sys/kernel/livepatch/${subject.name} does not exist`);
    if (!patch.enabled) throw new ClaimFailed('the module is loaded, but the patch is not enabled');
    yield { text: `/sys/kernel/livepatch/${subject.name}/enabled is 1` };
  },
};

export const transition: GuestCheck = {
  id: 'transition',
  title: 'the transition completes: every task runs the new code',
  where: 'guest',
  needed: true,
  async *run(session) {
    const { seconds, points } = await waitForTransition(session, session.subject.name, 'patched');
    const most = points.reduce((max, { tasks }) => Math.max(max, tasks), 0);
    session.state.transition = { seconds, points };
    yield { text: '/sys/kernel/livepatch/…/transition went from 1 to 0' };
    yield {
      text: `it took ${seconds.toFixed(2)} s, waiting for ${most === 0 ? 'idle processors only' : `at most ${plural(most, 'task')}`}`,
      data: { seconds, points },
      varies: true,
    };
  },
};
