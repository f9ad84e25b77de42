/** Repeats the basic checks while the kernel is busy with forks, files, sockets and signals. */

import { testCommand } from '../input/test-script.ts';
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { insert, takeOut, waitForTransition } from '../run/guest/livepatch.ts';
import { loadFigures, startLoad, stopLoad } from '../run/guest/workload.ts';

const TRANSITION_SECONDS = 120;
const TEST_RUNS = 10;

/** Then this many tasks run the test at once. Runs may disturb each other, so only kernel messages count. */
const TASKS = 4;
const RUNS_OF_EACH = 5;
const AT_ONCE = `for task in $(seq ${TASKS}); do
  (for run in $(seq ${RUNS_OF_EACH}); do ${testCommand('with', 'timeout 20')}; done) >/dev/null 2>&1 &
done
wait`;

export const underLoad: GuestCheck = {
  id: 'under-load',
  title: 'it loads, works and unloads while the kernel is busy',
  where: 'guest',
  async *run(session) {
    const { subject, state, test } = session;
    const before = await loadFigures(session);
    await startLoad(session);
    await insert(session, subject);
    const { seconds, points } = await waitForTransition(session, subject.name, 'patched', TRANSITION_SECONDS);
    state.transition = { seconds, points };
    yield {
      text: `the transition under load took ${seconds.toFixed(2)} s`,
      data: { seconds, points },
      varies: true,
    };
    if (test !== undefined) {
      const script = `for i in $(seq ${TEST_RUNS}); do ${testCommand('with')} >/tmp/out 2>&1; echo "status $?"; done; cat /tmp/out`;
      const { output } = await session.sh(script, { step: 'the test script under load', deadlineMs: 240_000 });
      const wanted = (status: string): boolean => (status === '0') === (test.expect.with === 'pass');
      const runs = [...output.matchAll(/^status (\d+)$/gm)].map(([, status]) => status!);
      if (runs.length !== TEST_RUNS || !runs.every(wanted)) {
        throw new ClaimFailed(`the author's test did not ${test.expect.with} in each of ${TEST_RUNS} runs`, output);
      }
      yield { text: `the author's test: ${TEST_RUNS} of ${TEST_RUNS} runs ${test.expect.with}, as expected` };
      await session.sh(AT_ONCE, { step: `the test script, ${TASKS} times at once`, deadlineMs: 240_000 });
      yield { text: `then ${TASKS} tasks at once, ${RUNS_OF_EACH} runs each` };
    }
    const back = await takeOut(session, subject, TRANSITION_SECONDS);
    yield { text: `the reverse transition took ${back.seconds.toFixed(2)} s`, data: back, varies: true };
    const after = await loadFigures(session);
    await stopLoad(session);
    const processes = after.processes - before.processes;
    const packets = after.packets - before.packets;
    if (processes < 10 || packets < 1) throw new ClaimFailed('the workload did not run, so the check proves nothing');
    yield { text: `meanwhile: ${processes} processes, ${packets} packets`, data: { processes, packets }, varies: true };
  },
};
