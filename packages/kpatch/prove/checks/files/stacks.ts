/** The patch replaces no function that some task never leaves, because its transition could not complete. */

import { readObject } from '../../../formats/elf/read-object.ts';
import { neverLeft, threadMains, threadMainWarning } from '../../../module/always-on-stack.ts';
import { functionName, type Subject } from '../../input/subject.ts';
import type { ProofKernel, StaticCheck } from '../../run/check.ts';
import { ClaimFailed } from '../../run/event.ts';

export const stacks: StaticCheck = {
  id: 'stacks',
  title: "no patched function is permanently on a task's stack",
  where: 'files',
  applies: ({ subject }) => subject.functions !== undefined,
  async *run({ subject, kernel }) {
    const found = subject.functions!.flatMap((func) => {
      const why = neverLeft(func.object, func.name);
      return why === undefined ? [] : [`${functionName(func)}: ${why}`];
    });
    if (found.length > 0) throw new ClaimFailed(`the transition cannot complete: ${found.join('; ')}`);
    yield { text: 'none of its functions is among those that are known to be on some stack always' };
    // Whether such a thread runs depends on the machine: the transition in the guest shows what happens there.
    for (const name of await mainsIn(subject, kernel))
      yield { text: threadMainWarning(name), data: { threadMain: name } };
  },
};

/** Thread main functions among the functions that the patch replaces in modules, whose files still have their relocations. */
async function mainsIn({ functions = [], targetModules }: Subject, { facts }: ProofKernel): Promise<string[]> {
  const found: string[] = [];
  for (const module of facts === undefined ? [] : targetModules) {
    const names = new Set(functions.flatMap(({ object, name }) => (object === module ? [name] : [])));
    const { bytes } = await facts!.moduleFile(module);
    found.push(...threadMains(readObject(bytes, `${module}.ko`), names).map((name) => `${module}:${name}`));
  }
  return found;
}
