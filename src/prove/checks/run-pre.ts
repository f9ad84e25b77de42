/** The functions that are replaced are those that the kernel runs. */
import type { StaticCheck } from '../check.ts';
import { ClaimFailed } from '../event.ts';
import { functionName } from '../subject.ts';

export const runPre: StaticCheck = {
  id: 'run-pre',
  title: 'each function that it replaces was compared with the code that the kernel runs',
  where: 'files',
  applies: ({ subject }) => subject.manifest !== undefined,
  async *run({ subject, kernel }) {
    const manifest = subject.manifest!;
    if (manifest.runPre !== 'matched') {
      throw new ClaimFailed('the comparison was skipped when the patch was built (--skip-run-pre)');
    }
    for (const { name, object, sympos, digest } of manifest.functions) {
      const title = functionName({ name, object, sympos });
      const facts = kernel.facts;
      if (object === 'vmlinux' && facts !== undefined) {
        const places = facts.kallsyms.lookup(name).length;
        if (places === 0) throw new ClaimFailed(`this kernel has no function ${name}`);
        if (sympos > places) throw new ClaimFailed(`${name}: there are ${places}, the patch is for number ${sympos}`);
        if (sympos === 0 && places > 1)
          throw new ClaimFailed(`${name}: there are ${places} of that name, and it does not say which`);
      }
      yield {
        text: `${title}: matched${digest === undefined ? '' : `, SHA-256 of the old code ${digest.slice(0, 16)}…`}`,
      };
    }
  },
};
