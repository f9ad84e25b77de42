/** Whether a module may be loaded only when it is proven, and by whom the proof must be signed. */

import { readBytes } from '../../base/files.ts';
import { requireProof } from '../../module/proof.ts';
import { proofPath } from '../../module/proof-path.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import type { ModuleFile } from './module-file.ts';

export interface ProofOptions {
  readonly requireProof?: boolean;
  /** The proof file; the one beside the module unless told. Naming it asks for it too. */
  readonly proof?: string;
  /** Files with public keys (PEM); where any is given, the proof must be signed by one of them. */
  readonly proofKey?: readonly string[];
}

/**
 * Checks that a valid proof of this very module, for its kernel, is there, where the options ask for one. For the running
 * kernel its build-id must agree too. The bytes of the proof, where one was asked for. Errors: `proof-invalid`, `proof-key`, `file-unreadable`.
 */
export function demandProof(machine: Machine, module: ModuleFile, options: ProofOptions): Buffer | undefined {
  const { requireProof: wanted = false, proof, proofKey } = options;
  if (!wanted && proof === undefined && proofKey === undefined) return undefined;
  const { release, buildId } = runningKernel(machine);
  const file = proof ?? proofPath(module.path);
  const bytes = readBytes(file);
  requireProof(file, {
    module: module.sha256,
    release: module.release,
    ...(release === module.release && buildId !== undefined ? { buildId } : {}),
    ...(proofKey === undefined ? {} : { keys: proofKey }),
  });
  return bytes;
}
