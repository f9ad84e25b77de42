/**
 * Run-pre match: the replaced functions have the code that the patch was built for, according to the files of the kernel.
 */
import { KpatchError } from '../../../base/errors/error.ts';
import { codeDigest } from '../../../kernel/running-code.ts';
import type { ReplacedFunction } from '../../../module/tables.ts';
import { runningCode } from '../../../run-pre/module-code.ts';
import { functionName } from '../../input/subject.ts';
import type { StaticCheck } from '../../run/check.ts';
import { ClaimFailed } from '../../run/event.ts';

/** See `ManifestFunction`. */
type Replaced = ReplacedFunction & { readonly digest?: string };

export const runPre: StaticCheck = {
  id: 'run-pre',
  title: 'every function it replaces has the code that the patch was built for',
  where: 'files',
  applies: ({ subject }) => subject.manifest !== undefined,
  async *run({ subject, kernel }) {
    const manifest = subject.manifest!;
    if (manifest.runPre !== 'matched') {
      throw new ClaimFailed('the run-pre match was skipped when the patch was built (--skip-run-pre)');
    }
    const { facts } = kernel;
    if (facts === undefined) throw new ClaimFailed('the kernel is not prepared, so its code is not available');
    for (const func of manifest.functions) {
      const digest = await found(func, (object) => runningCode(facts, object));
      yield {
        text: `${functionName(func)}: its code in ${whereOf(func)} matches the manifest, SHA-256 ${digest.slice(0, 16)}…`,
      };
    }
  },
};

/** The digest of the code at the name and position of the function, which must be that of the manifest. */
async function found(func: Replaced, codeOf: (object: string) => ReturnType<typeof runningCode>): Promise<string> {
  const { name, object, sympos, digest } = func;
  const title = functionName(func);
  if (digest === undefined) throw new ClaimFailed(`${title}: the manifest does not record which code it was built for`);
  let code: Awaited<ReturnType<typeof runningCode>>;
  try {
    code = await codeOf(object);
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    throw new ClaimFailed(`${title}: ${error.message}`, error.detail);
  }
  const places = code.symbols(name);
  if (places.length === 0) throw new ClaimFailed(`${object} has no function ${name}`);
  if (sympos > places.length)
    throw new ClaimFailed(
      `${name}: ${object} has ${places.length} of that name, but the patch is for position ${sympos}`,
    );
  if (sympos === 0 && places.length > 1)
    throw new ClaimFailed(`${name}: ${object} has ${places.length} of that name, and the patch does not state which`);
  const digests = places.map(({ address }) => codeDigest(code, address));
  const here = digests[Math.max(0, sympos - 1)];
  if (here === digest) return digest;
  const other = digests.indexOf(digest);
  throw new ClaimFailed(
    other < 0
      ? `${title}: the code in ${whereOf(func)} is not the code that the patch was built for`
      : `${title}: the patch was built for position ${other + 1} of the ${places.length} functions ${name}, but it replaces position ${Math.max(1, sympos)}`,
  );
}

function whereOf({ object }: ReplacedFunction): string {
  return object === 'vmlinux' ? 'the kernel image' : `${object}.ko`;
}
