/** What the host policy says about the provenance of a module (docs/provenance.md): who built it, from what. */
import { existsSync } from 'node:fs';
import { sha256 } from '../../base/digest.ts';
import { KpatchError } from '../../base/errors/error.ts';
import { readRegularFile } from '../../base/files.ts';
import { isSigned, splitSignature } from '../../formats/appended-signature.ts';
import { provenancePath } from '../../module/proof-path.ts';
import { provenanceProblem } from '../../provenance/chain.ts';
import { type ProvenanceStatement, readProvenance } from '../../provenance/statement.ts';
import type { ModuleFile } from '../store/module-file.ts';
import type { LoadedPolicy } from './policy.ts';
import type { ProvenanceRules } from './policy-shape.ts';

/** The statement that counts, or why the module is refused. */
export type CheckedProvenance =
  | {
      /** The bytes that were checked, to be kept beside the module; absent if there is no statement that fits. */
      readonly bytes: Buffer | undefined;
      /** Trusted keys that signed it. */
      readonly keys: readonly string[];
      readonly alarms: readonly string[];
    }
  | { readonly problem: string; readonly cause?: unknown };

const nothing = { bytes: undefined, keys: [], alarms: [] };

/**
 * Checks the provenance beside a module. Without a rule that requires it, a statement that fits is kept, and one that does
 * not fit is left behind with an alarm. Never throws an error of the catalogue.
 */
export function checkedProvenance(module: ModuleFile, policy: LoadedPolicy | undefined): CheckedProvenance {
  const file = provenancePath(module.path);
  const required = policy?.rules.provenance.required === true;
  const refused = (problem: string, cause?: unknown): CheckedProvenance =>
    required
      ? { problem, cause }
      : { ...nothing, alarms: [`the provenance of ${module.name} does not count and is not kept: ${problem}`] };
  if (!existsSync(file)) return required ? { problem: `it has no provenance (${file})` } : nothing;
  try {
    const bytes = readRegularFile(file);
    const keys = policy?.builderKeys ?? [];
    const { statement, signedBy, claimed } = readProvenance(bytes, file, keys);
    const problem =
      provenanceProblem(statement, digestsOf(module)) ??
      (required ? ruleProblem(statement, signedBy, claimed, policy.rules.provenance) : undefined);
    return problem === undefined ? { bytes, keys: signedBy, alarms: [] } : refused(`its provenance: ${problem}`);
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return refused(error.message, error);
  }
}

function digestsOf({ sha256: file, bytes, manifest }: ModuleFile) {
  const parts = isSigned(bytes) ? splitSignature(bytes) : undefined;
  const unsigned = parts === undefined || typeof parts === 'string' ? file : sha256(parts.module);
  return { sha256: file, unsigned, manifest };
}

/** Which rule a statement of this module breaks; undefined if it meets all. */
function ruleProblem(
  { predicate }: ProvenanceStatement,
  signedBy: readonly string[],
  claimed: readonly string[],
  { builders, materials, sandbox }: ProvenanceRules,
): string | undefined {
  if (signedBy.length === 0) {
    const named = claimed[0]?.slice(0, 16) || 'unknown';
    return claimed.length === 0
      ? 'it is not signed, so anyone could have written it'
      : `no key of a builder that the policy names signed it (it names the key ${named})`;
  }
  const { builder } = predicate.runDetails;
  if (builders !== undefined && !builders.includes(builder.id))
    return `it names the builder ${builder.id}; the policy allows ${builders.join(', ') || 'none'}`;
  const { internalParameters, resolvedDependencies } = predicate.buildDefinition;
  if (sandbox && !internalParameters.sandbox) return 'it was built without the sandbox';
  for (const wanted of materials) {
    const found = resolvedDependencies.filter(({ annotations }) => annotations?.role === wanted);
    const open = found.find(({ digest }) => !/^[0-9a-f]{64}$/.test(digest?.sha256 ?? ''));
    if (found.length === 0) return `it does not record the input "${wanted}"`;
    if (open !== undefined) return `it records the input ${open.name ?? wanted} (${wanted}) without a SHA-256`;
  }
  return undefined;
}
