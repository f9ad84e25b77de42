/** The module says that it is for this kernel, and its manifest agrees with it. */
import type { StaticCheck } from '../check.ts';
import { ClaimFailed } from '../event.ts';
import { functionName } from '../subject.ts';

export const fits: StaticCheck = {
  id: 'fits',
  title: 'the module and its manifest are for this kernel',
  where: 'files',
  needed: true,
  async *run({ subject, kernel }) {
    const { manifest } = subject;
    if (subject.release !== kernel.release) {
      throw new ClaimFailed(`the module is for ${subject.release}, the kernel is ${kernel.release}`);
    }
    yield { text: `vermagic: ${subject.vermagic.trim()}` };
    if (manifest === undefined) {
      yield { text: 'it carries no manifest (another program made it); the kernel itself is asked what it patches' };
      return;
    }
    if (manifest.release !== subject.release || manifest.name.replaceAll('-', '_') !== subject.name) {
      throw new ClaimFailed(`the manifest speaks of ${manifest.name} for ${manifest.release}: it is of another module`);
    }
    if (manifest.buildId !== undefined && kernel.buildId !== undefined && manifest.buildId !== kernel.buildId) {
      throw new ClaimFailed(`built for the image with build-id ${manifest.buildId}, the image has ${kernel.buildId}`);
    }
    if (manifest.buildId !== undefined && kernel.buildId !== undefined) {
      yield { text: `build-id of the image: ${kernel.buildId}` };
    }
    if (manifest.functions.length === 0) throw new ClaimFailed('its manifest names no function: it patches nothing');
    const names = manifest.functions.map(functionName);
    yield { text: `it replaces ${names.length} function${names.length === 1 ? '' : 's'}: ${names.join(', ')}` };
  },
};
