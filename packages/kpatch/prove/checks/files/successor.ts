/** The manifests agree that this patch may replace the previous ones. */
import { plural } from '../../../base/errors/plural.ts';
import type { StaticCheck } from '../../run/check.ts';
import { ClaimFailed } from '../../run/event.ts';

export const successor: StaticCheck = {
  id: 'successor',
  title: 'its manifest declares it a successor of each previous patch',
  where: 'files',
  applies: ({ subject, predecessors }) =>
    subject.manifest !== undefined && predecessors.some(({ manifest }) => manifest !== undefined),
  async *run({ subject, predecessors }) {
    const own = subject.manifest!;
    for (const { manifest: other, name } of predecessors) {
      if (other === undefined) continue;
      if (!own.replace)
        throw new ClaimFailed(`it does not replace other patches, so ${name} would stay active below it`);
      if ((own.line ?? '') !== (other.line ?? '')) throw new ClaimFailed(`${name} belongs to another line of patches`);
      if (own.version <= other.version) {
        throw new ClaimFailed(`its version ${own.version} is not newer than version ${other.version} of ${name}`);
      }
      for (const { id, version } of other.states) {
        const now = own.states.find((state) => state.id === id);
        // Documentation/livepatch/system-state.rst: a cumulative patch must support the states of the patches it replaces.
        if (now === undefined)
          throw new ClaimFailed(`${name} sets system state ${id}, which this patch does not support`);
        if (now.version < version)
          throw new ClaimFailed(`system state ${id} has version ${version} in ${name}, but only ${now.version} here`);
      }
      yield {
        text: `version ${own.version} after ${other.version} of ${name}; supports its ${plural(other.states.length, 'system state')}`,
      };
    }
  },
};
