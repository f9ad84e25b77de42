/** The kernel takes the module and switches every task to the new code. */
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { insert, livePatches, waitForTransition } from '../run/livepatch.ts';

export const loads: GuestCheck = {
  id: 'loads',
  title: 'the kernel takes the module',
  where: 'guest',
  needed: true,
  async *run(session) {
    const { subject } = session;
    await insert(session, subject);
    const patch = (await livePatches(session)).get(subject.name);
    if (patch === undefined)
      throw new ClaimFailed(`it is loaded, but there is no /sys/kernel/livepatch/${subject.name}`);
    if (!patch.enabled) throw new ClaimFailed('it is loaded, but the patch is not enabled');
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
      text: `it took ${seconds.toFixed(2)} s, ${most === 0 ? 'only idle processors' : `at most ${most} tasks`} had to be waited for`,
      data: { seconds, points },
      varies: true,
    };
  },
};
