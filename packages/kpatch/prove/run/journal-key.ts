/** Which journal belongs to a proof. */
import { sha256 } from '../../base/digest.ts';
import { version } from '../../base/version.ts';
import type { ProofInput } from '../input/proof-input.ts';
import { ProofJournal } from './journal.ts';

/**
 * The journal of this proof. Its key covers everything that decides what a boot shows; `image` is the digest of the kernel
 * image, `qemu` the version of QEMU.
 */
export function journalOf(folder: string, input: ProofInput, image: string, qemu: string): ProofJournal {
  const { subject, predecessors, kernel, test, plan, userChecks = [], program, files, kept } = input;
  const key = [
    version,
    qemu,
    image,
    kernel.release,
    kernel.modules,
    subject.sha256,
    predecessors.map((other) => other.sha256),
    test === undefined
      ? null
      : [test.sha256, test.modules, test.files.map(({ path, mode, sha256 }) => [path, mode, sha256])],
    userChecks.map((check) => check.sha256),
    plan.name,
    plan.boots.map(({ checks, ...boot }) => [boot, checks.map(({ id }) => id)]),
    Object.keys(program ?? {}).length,
    Object.keys(files ?? {}),
    kept?.cold === true,
  ];
  return new ProofJournal(folder, sha256(Buffer.from(JSON.stringify(key))).slice(0, 32));
}
