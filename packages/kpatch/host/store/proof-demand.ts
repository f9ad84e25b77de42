/** Enforces `--require-proof` and `--proof-key`. */

import { readBytes } from '../../base/files.ts';
import { requireProof } from '../../module/proof.ts';
import { proofPath } from '../../module/proof-path.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import type { ModuleFile } from './module-file.ts';

export interface ProofOptions {
  readonly requireProof?: boolean;
  /** The proof file (default: the one next to the module). Naming it also requires it. */
  readonly proof?: string;
  /** Files with public keys (PEM); if any is given, one of them must have signed the proof. */
  readonly proofKey?: readonly string[];
}

/**
 * If the options require a proof, verifies that there is a valid one of this module for its kernel, and for the running
 * kernel that the build-id matches; returns its bytes. Errors: `proof-invalid`, `proof-key`, `file-unreadable`.
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
