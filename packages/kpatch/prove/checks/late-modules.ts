/** For a patch of modules: they can be loaded before or after the patch, and unloaded while it is active. */

import { testCommand } from '../input/test-script.ts';
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { parseLog } from '../run/guest/kernel-log.ts';
import {
  enabledFunctions,
  insert,
  listedFunctions,
  parseEnabledFunctions,
  takeOut,
  waitForTransition,
} from '../run/guest/livepatch.ts';
import { loadTarget, presentTargets } from '../run/guest/targets.ts';

export const lateModules: GuestCheck = {
  id: 'late-modules',
  title: 'the modules it changes can be loaded before it, after it, and unloaded while it is active',
  where: 'guest',
  applies: ({ subject }) => subject.targetModules.length > 0,
  async *run(session) {
    const { subject } = session;
    for (const module of subject.targetModules) await loadTarget(session, module);
    const targets = presentTargets(session);
    // An earlier check of this boot may have loaded them, and one may use another.
    for (const module of [...targets, ...targets]) {
      if (await canGo(session, module)) await must(session, `rmmod ${module}`, `${module} cannot be removed`);
    }
    await insert(session, subject);
    await waitForTransition(session, subject.name, 'patched');
    yield { text: 'the patch was loaded first' };
    for (const module of targets) {
      if (await isLoaded(session, module)) {
        yield { text: `${module} was already in use before the patch` };
        continue;
      }
      for (const [at, round] of ['loaded after the patch', 'removed and loaded again'].entries()) {
        if (at > 0 && !(await comesBack(session, module))) {
          yield { text: `${module} ${NOT_AGAIN}` };
          await takeOut(session, subject);
          await insert(session, subject);
          await waitForTransition(session, subject.name, 'patched');
          break;
        }
        await must(session, `modprobe ${module}`, `${module} cannot be loaded while the patch is active`);
        await expectRedirected(session, module, true);
        yield { text: `${module}, ${round}: its functions are redirected at once` };
        if (await canGo(session, module)) {
          await must(session, `rmmod ${module}`, `${module} cannot be removed while the patch is active`);
          await expectRedirected(session, module, false);
        } else {
          yield { text: `${module} is in use and stays loaded` };
          break;
        }
      }
    }
    for (const module of targets) await must(session, `modprobe ${module}`, `${module} cannot be loaded`);
    await runTestOnce(session);
    await takeOut(session, subject);
    yield { text: 'the patch was unloaded while the modules were loaded' };
    await insert(session, subject);
    await waitForTransition(session, subject.name, 'patched');
    for (const module of targets) await expectRedirected(session, module, true);
    for (const module of targets) {
      if (await canGo(session, module)) await must(session, `rmmod ${module}`, `${module} cannot be removed`);
    }
    await takeOut(session, subject);
    yield { text: 'modules loaded before the patch were removed while it was active; then the patch was unloaded' };
  },
};

/** Evidence for a module where the kernel, not the patch, is the obstacle. */
export const NOT_AGAIN =
  'cannot be loaded again after it was removed while the patch is active: this kernel keeps the livepatch relocations of the first load (fixed in Linux 6.3)';
/** Part of `NOT_AGAIN` that also occurs in proofs of version 0.1. */
export const KEEPS_RELOCATIONS = 'this kernel keeps the livepatch relocations of';

/** The messages of the module loader and of livepatch in that case. */
const keptRelocations = /Skipping invalid relocation target, existing value is nonzero/;
const refusal = /livepatch: (failed to initialize patch|patch '.*' failed for module)/;

/**
 * Loads a module that was loaded and removed while the patch was active. False if the kernel refuses because it did not
 * clear the relocations at removal: kernels without "livepatch: Clear relocation targets on a module removal" refuse every
 * patch with such relocations. The messages are not compared with this patch then.
 */
async function comesBack(session: Session, module: string): Promise<boolean> {
  const { status } = await session.sh(`modprobe ${module}`, { step: `modprobe ${module}` });
  if (status === 0) return true;
  const log = parseLog((await session.sh('dmesg -r', { step: 'read the kernel log' })).output).map(({ text }) => text);
  if (!log.some((text) => keptRelocations.test(text))) return true;
  const own = log.filter((text) => keptRelocations.test(text) || refusal.test(text));
  session.state.complaintsBefore = [...(session.state.complaintsBefore ?? []), ...own];
  return false;
}

/** The author's test, if there is one, as in the phase "with". */
export async function runTestOnce(session: Session): Promise<void> {
  const { test } = session;
  if (test === undefined) return;
  const { status, output } = await session.sh(testCommand('with'), {
    step: 'the test script',
    deadlineMs: 120_000,
  });
  const ended = status === 0 ? 'pass' : 'fail';
  if (ended !== test.expect.with) {
    throw new ClaimFailed(`the author's test should ${test.expect.with}, but exited with status ${status}`, output);
  }
}

async function must(session: Session, command: string, problem: string): Promise<void> {
  const { status, output } = await session.sh(`${command} || { s=$?; dmesg | tail -n 6; exit $s; }`, { step: command });
  if (status !== 0) throw new ClaimFailed(problem, output);
}

async function isLoaded(session: Session, module: string): Promise<boolean> {
  return (await session.sh(`grep -q '^${module} ' /proc/modules`)).status === 0;
}

async function canGo(session: Session, module: string): Promise<boolean> {
  return (await session.sh(`grep -q '^${module} [0-9]* 0 ' /proc/modules`)).status === 0;
}

async function expectRedirected(session: Session, module: string, wanted: boolean): Promise<void> {
  const listed = (await listedFunctions(session, session.subject.name)).filter(({ object }) => object === module);
  const text = await enabledFunctions(session);
  const redirections = parseEnabledFunctions(text).filter(({ byLivepatch }) => byLivepatch);
  for (const { name } of listed) {
    if (redirections.some((entry) => entry.name === name) === wanted) continue;
    throw new ClaimFailed(`${module}:${name} is ${wanted ? 'not' : 'still'} redirected`, text);
  }
}
