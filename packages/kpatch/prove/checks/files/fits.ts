/** The module is for this kernel, and its manifest matches it. */
import { plural } from '../../../base/errors/plural.ts';
import { readObject } from '../../../formats/elf/read-object.ts';
import type { ReplacedFunction } from '../../../module/tables.ts';
import { hasCallbacks, replacedFunctions } from '../../../module/tables.ts';
import { functionName, type Subject } from '../../input/subject.ts';
import type { StaticCheck } from '../../run/check.ts';
import { ClaimFailed } from '../../run/event.ts';

export const fits: StaticCheck = {
  id: 'fits',
  title: 'the module and its manifest are for this kernel',
  where: 'files',
  needed: true,
  async *run({ subject, kernel }) {
    const { manifest } = subject;
    if (subject.release !== kernel.release) {
      throw new ClaimFailed(`the module is for ${subject.release}, but the kernel is ${kernel.release}`);
    }
    yield { text: `vermagic: ${subject.vermagic.trim()}` };
    if (manifest === undefined) {
      yield { text: 'it has no manifest: it was built by another tool' };
      yield {
        text: subject.functions === undefined ? 'the kernel will report what it patches' : replaces(subject.functions),
      };
      return;
    }
    if (manifest.release !== subject.release || manifest.name.replaceAll('-', '_') !== subject.name) {
      throw new ClaimFailed(`the manifest is that of another module: ${manifest.name} for ${manifest.release}`);
    }
    if (manifest.buildId !== undefined && kernel.buildId !== undefined && manifest.buildId !== kernel.buildId) {
      throw new ClaimFailed(
        `built for a kernel image with build-id ${manifest.buildId}, but this one has ${kernel.buildId}`,
      );
    }
    if (manifest.buildId !== undefined && kernel.buildId !== undefined) {
      yield { text: `build-id of the image: ${kernel.buildId}` };
    }
    if (manifest.functions.length === 0 && !hasCallbacks(readObject(subject.bytes, subject.file)))
      throw new ClaimFailed('it replaces no function and has no callbacks, so it patches nothing');
    const differing = differences(subject);
    if (differing.length > 0) {
      throw new ClaimFailed(`the manifest does not match the tables of the module: ${differing.join('; ')}`);
    }
    yield { text: replaces(manifest.functions) };
  },
};

function replaces(functions: readonly ReplacedFunction[]): string {
  const names = functions.map(functionName);
  if (names.length === 0) return 'it replaces no function; it consists of callbacks only';
  return `it replaces ${plural(names.length, 'function')}: ${names.join(', ')}`;
}

/** Functions that are only in the manifest or only in the tables that livepatch reads. */
function differences({ bytes, file, functions }: Subject): string[] {
  const key = (func: ReplacedFunction): string => `${func.object}:${func.name},${func.sympos}`;
  const told = (functions ?? []).map(key);
  const real = (replacedFunctions(readObject(bytes, file)) ?? []).map(key);
  return [
    ...told.filter((name) => !real.includes(name)).map((name) => `${name} is only in the manifest`),
    ...real.filter((name) => !told.includes(name)).map((name) => `${name} is only in the tables`),
  ];
}
