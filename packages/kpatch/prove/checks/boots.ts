/** The guest runs the requested kernel, and its log has no complaint before anything is loaded. */
import { plural } from '../../base/errors/plural.ts';
import type { GuestCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { complaintsIn, parseLog } from '../run/guest/kernel-log.ts';
import { enabledFunctions, parseEnabledFunctions } from '../run/guest/livepatch.ts';
import { loadTarget } from '../run/guest/targets.ts';

export const boots: GuestCheck = {
  id: 'boots',
  title: 'the stock kernel boots without complaints',
  where: 'guest',
  needed: true,
  async *run(session) {
    const { kernel, state } = session;
    const { output } = await session.sh('uname -r; uname -v');
    const [release = '', version = ''] = output.split('\n');
    if (release !== kernel.release) throw new ClaimFailed(`the guest runs ${release}, not ${kernel.release}`);
    yield { text: `Linux ${release} ${version}` };
    const livepatch = await session.sh('test -d /sys/kernel/livepatch');
    if (livepatch.status !== 0) throw new ClaimFailed('this kernel does not support live patching (CONFIG_LIVEPATCH)');
    state.enabledBefore = await enabledFunctions(session);
    const traced = parseEnabledFunctions(state.enabledBefore).map(({ name }) => name);
    if (traced.length > 0) yield { text: `already traced: ${traced.join(', ')}` };
    const records = parseLog((await session.sh('dmesg -r')).output);
    state.logLines = records.length;
    const log = complaintsIn(records);
    if (log.length > 0) {
      // Complaints of the unpatched kernel do not count against the patch; they are noted and ignored later.
      state.complaintsBefore = log.map(({ text }) => text);
      yield {
        text: `the unpatched kernel complains at boot (${plural(log.length, 'line')})`,
        detail: state.complaintsBefore.join('\n'),
        varies: true,
      };
    }
  },
};

/** Functions of a module can only be redirected while it is loaded. */
export const targets: GuestCheck = {
  id: 'targets',
  title: 'the modules that the patch changes are loaded, or named as exceptions',
  where: 'guest',
  needed: true,
  applies: ({ subject }) => subject.targetModules.length > 0,
  async *run(session) {
    const { subject, exceptions } = session;
    for (const module of subject.targetModules) {
      const text = await loadTarget(session, module);
      yield exceptions.has(module) ? { text, data: { exception: module } } : { text };
    }
    // What a module prints when it asks for firmware comes a little later.
    await session.sh('sleep 0.3');
  },
};
