/** The patch can be unloaded and leaves nothing behind. */
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { enabledFunctions, livePatches, parseEnabledFunctions, takeOut } from '../run/guest/livepatch.ts';

export const unloads: GuestCheck = {
  id: 'unloads',
  title: 'the patch can be disabled and its module removed, and the original code runs again',
  where: 'guest',
  async *run(session) {
    const { subject, state } = session;
    const { seconds, points } = await takeOut(session, subject);
    yield { text: `the reverse transition took ${seconds.toFixed(2)} s`, data: { seconds, points }, varies: true };
    if ((await livePatches(session)).has(subject.name)) throw new ClaimFailed('the patch is still listed in sysfs');
    yield { text: `/sys/kernel/livepatch/${subject.name} and the module are gone` };
    const text = await enabledFunctions(session);
    const names = (list: string): string =>
      parseEnabledFunctions(list)
        .map(({ name }) => name)
        .sort()
        .join(', ');
    if (names(text) !== names(state.enabledBefore ?? '')) {
      throw new ClaimFailed('some functions are still redirected or traced that were not before', text);
    }
    yield { text: `redirected functions: ${names(text) || 'none'}, as before the load` };
  },
};
