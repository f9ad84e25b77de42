/** What the manifests say of the order of patches: a successor covers its predecessor. */
import type { StaticCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';

export const successor: StaticCheck = {
  id: 'successor',
  title: 'by its manifest it is a successor of each predecessor',
  where: 'files',
  applies: ({ subject, predecessors }) =>
    subject.manifest !== undefined && predecessors.some(({ manifest }) => manifest !== undefined),
  async *run({ subject, predecessors }) {
    const own = subject.manifest!;
    for (const { manifest: other, name } of predecessors) {
      if (other === undefined) continue;
      if (!own.replace)
        throw new ClaimFailed(`it does not replace other patches, so ${name} would stay active below it`);
      if ((own.line ?? '') !== (other.line ?? '')) throw new ClaimFailed(`${name} is of another line of patches`);
      if (own.version <= other.version) {
        throw new ClaimFailed(`its version is ${own.version}, that of ${name} is ${other.version}: it is not newer`);
      }
      for (const { id, version } of other.states) {
        const now = own.states.find((state) => state.id === id);
        // Documentation/livepatch/system-state.rst: a cumulative patch must know the states of those it replaces.
        if (now === undefined)
          throw new ClaimFailed(`${name} sets the system state ${id}, which this patch does not know`);
        if (now.version < version)
          throw new ClaimFailed(`the system state ${id} has version ${version} in ${name}, here only ${now.version}`);
      }
      yield {
        text: `version ${own.version} after ${other.version} of ${name}; its ${other.states.length} system states are known`,
      };
    }
  },
};
