/** The boot path: a patch installed by `kpatch install` is loaded automatically after a reboot. */

import { seconds } from '../proof-text.ts';
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { SERVICE_COMMAND, SERVICE_RESULT, STORE } from '../run/guest/boot-service.ts';
import { parseLog } from '../run/guest/kernel-log.ts';
import { guestPath, livePatches } from '../run/guest/livepatch.ts';

/** Installing waits for a transition, for which the host code has a time limit of 75 s. */
const INSTALL_DEADLINE_MS = 240_000;

const ARCHIVE = '/tmp/store.tar';

export const installs: GuestCheck = {
  id: 'installs',
  title: "'kpatch install' loads the patch and installs it for the next boot",
  where: 'guest',
  needed: true,
  async *run(session) {
    const { guest, subject } = session;
    const command = `kpatch install ${subject.name}.ko`;
    // With output to a file, so that it draws no progress.
    const script = `cd $(dirname ${guestPath(subject)}) && ${command} >/tmp/output 2>&1; s=$?; cat /tmp/output; exit $s`;
    const { status, output, ms } = await session.sh(script, { step: command, deadlineMs: INSTALL_DEADLINE_MS });
    yield { text: `'${command}' exited with status ${status}` };
    yield { text: `it took ${seconds(ms)}`, detail: output, varies: true };
    if (status !== 0) throw new ClaimFailed(`'${command}' exited with status ${status}`, output);
    await requireActive(session);
    yield { text: `/sys/kernel/livepatch/${subject.name}/enabled is 1` };
    const { output: kept } = await session.sh(
      `cd ${STORE} && find . -name '*.ko' | sort && tar -C / -cf ${ARCHIVE} .${STORE}`,
      {
        step: 'read the store',
      },
    );
    const modules = kept.split('\n').filter((path) => path !== '');
    if (modules.length === 0) throw new ClaimFailed(`${STORE} contains no module after the installation`);
    yield { text: `${STORE} contains ${modules.map((path) => path.replace(/^\.\//, '')).join(', ')}` };
    session.keepStore(await guest.get(ARCHIVE));
  },
};

export const applied: GuestCheck = {
  id: 'applied',
  title: 'after a reboot the patch is loaded automatically, before anything else runs',
  where: 'guest',
  needed: true,
  async *run(session) {
    const { subject, state } = session;
    const read = async (name: string): Promise<string> =>
      (await session.sh(`cat ${SERVICE_RESULT}/${name}`, { step: 'read the result of the boot' })).output;
    // Log lines from before the load do not concern the patch.
    state.patchedAtBoot = true;
    state.complaintsBefore = parseLog(await read('log')).map(({ text }) => text);
    const status = Number.parseInt(await read('status'), 10);
    const output = await read('output');
    yield { text: `at boot '${SERVICE_COMMAND}' exited with status ${status}` };
    yield {
      text: `started ${(await read('uptime')).trim()} s after the kernel`,
      detail: output,
      varies: true,
    };
    if (status !== 0) throw new ClaimFailed(`at boot '${SERVICE_COMMAND}' exited with status ${status}`, output);
    await requireActive(session);
    yield { text: `/sys/kernel/livepatch/${subject.name}/enabled is 1, its transition is complete` };
  },
};

async function requireActive(session: Session): Promise<void> {
  const { name } = session.subject;
  const patch = (await livePatches(session)).get(name);
  if (patch === undefined) throw new ClaimFailed(`there is no /sys/kernel/livepatch/${name}`);
  if (!patch.enabled) throw new ClaimFailed('the patch is not enabled');
  if (patch.transition) throw new ClaimFailed('the transition is not complete');
}
