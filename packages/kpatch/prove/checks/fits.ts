/** The module says that it is for this kernel, and its manifest agrees with it. */
import { readObject } from '../../formats/elf/read-object.ts';
import { hasCallbacks, replacedFunctions } from '../../module/tables.ts';
import { functionName, type PatchedFunction, type Subject } from '../input/subject.ts';
import type { StaticCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';

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
      yield { text: 'it carries no manifest: another program made it' };
      yield {
        text:
          subject.functions === undefined ? 'the kernel itself is asked what it patches' : replaces(subject.functions),
      };
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
    if (manifest.functions.length === 0 && !hasCallbacks(readObject(subject.bytes, subject.file)))
      throw new ClaimFailed('it replaces no function and has no callback: it patches nothing');
    const differing = differences(subject);
    if (differing.length > 0) {
      throw new ClaimFailed(`the manifest does not say what the module's own tables say: ${differing.join('; ')}`);
    }
    yield { text: replaces(manifest.functions) };
  },
};

function replaces(functions: readonly PatchedFunction[]): string {
  const names = functions.map(functionName);
  if (names.length === 0) return 'it replaces no function; its callbacks are all that it is';
  return `it replaces ${names.length} function${names.length === 1 ? '' : 's'}: ${names.join(', ')}`;
}

/** Functions that stand in the manifest and not in the tables that livepatch will read, or the other way round. */
function differences({ bytes, file, functions }: Subject): string[] {
  const key = (func: PatchedFunction): string => `${func.object}:${func.name},${func.sympos}`;
  const told = (functions ?? []).map(key);
  const real = (replacedFunctions(readObject(bytes, file)) ?? []).map(key);
  return [
    ...told.filter((name) => !real.includes(name)).map((name) => `${name} is only in the manifest`),
    ...real.filter((name) => !told.includes(name)).map((name) => `${name} is only in the tables`),
  ];
}
