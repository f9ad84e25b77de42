/** Runs the author's test script once in each phase and compares the result with its declaration. */

import { functionName } from '../input/subject.ts';
import { type Phase, testCommand } from '../input/test-script.ts';
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed, type Evidence } from '../run/event.ts';
import { countCalls, startCounting } from '../run/guest/call-counts.ts';

const TEST_DEADLINE_MS = 120_000;

export const testBefore = phaseCheck('before', "the author's test, before the patch");
export const testAfter = phaseCheck('after', "the author's test, after the patch was unloaded");

/** Also counts the calls of the new code. */
export const testWith: GuestCheck = {
  ...phaseCheck('with', "the author's test, with the patch"),
  async *run(session) {
    const probes = await startCounting(session);
    let failure: ClaimFailed | undefined;
    try {
      yield* phase(session, 'with');
    } catch (error) {
      if (!(error instanceof ClaimFailed)) throw error;
      failure = error;
    }
    session.state.calls = await countCalls(session, probes);
    if (failure !== undefined) throw failure;
    const { before, with: patched } = session.state.testStatus;
    const { expect, declared } = session.test!;
    if (before === undefined) return;
    const same = (before === 0) === (patched === 0);
    if (same || expect.before === expect.with) {
      const declaredSo = declared && expect.before === expect.with ? ', as declared' : '';
      throw new ClaimFailed(
        `the test gives the same result with and without the patch${declaredSo}, so it proves nothing`,
      );
    }
  },
};

export const reached: GuestCheck = {
  id: 'reached',
  title: 'the test runs the new code',
  where: 'guest',
  applies: ({ test }) => test !== undefined,
  async *run({ state }) {
    const { calls } = state;
    if (calls === undefined) throw new ClaimFailed('no calls were counted because the test did not run with the patch');
    const counted = calls.filter(({ count }) => count !== undefined);
    for (const { func, count, problem } of calls) {
      if (count === undefined) yield { text: `${functionName(func)}: cannot count calls (${problem})` };
      else
        yield {
          text: `${functionName(func)}: called ${count === 1 ? 'once' : `${count} times`}`,
          data: { function: func, count },
          varies: true,
        };
    }
    if (counted.length === 0) return;
    if (counted.every(({ count }) => count === 0)) {
      throw new ClaimFailed('the test called none of the new functions, so it does not exercise the patch');
    }
  },
};

function phaseCheck(name: Phase, title: string): GuestCheck {
  return {
    id: `test-${name}`,
    title,
    where: 'guest',
    applies: ({ test }) => test !== undefined,
    run: (session) => phase(session, name),
  };
}

async function* phase(session: Session, name: Phase): AsyncGenerator<Evidence, void> {
  const { test, state } = session;
  const { status, output, ms } = await session.sh(testCommand(name), {
    step: `the test script, phase "${name}"`,
    deadlineMs: TEST_DEADLINE_MS,
  });
  state.testStatus[name] = status;
  const ended = status === 0 ? 'pass' : 'fail';
  const expected = test!.expect[name];
  yield {
    text: `exited with status ${status}: ${ended}, as expected`.replace(ended === expected ? '' : /, as expected$/, ''),
    data: { phase: name, status, expected },
  };
  yield { text: `it took ${(ms / 1000).toFixed(1)} s`, detail: output, varies: true };
  if (ended !== expected) {
    throw new ClaimFailed(`the test should ${expected} ${name} the patch, but it exited with status ${status}`, output);
  }
}
