/** In-toto statements of kpatch: reading them, and the parts that both kinds share. */
import { failure } from '../base/errors/error.ts';
import { isPlainText } from '../base/printable.ts';
import type { Content, DocumentDefinition } from '../documents/document.ts';
import type { provenanceDocument, testResultDocument } from '../documents/provenance.ts';
import type { PublicKey } from '../module/public-key.ts';
import { open } from './envelope.ts';

export type ProvenanceStatement = Content<typeof provenanceDocument>;
export type TestResultStatement = Content<typeof testResultDocument>;
export type Resource = ProvenanceStatement['predicate']['buildDefinition']['resolvedDependencies'][number];

export const statementType = 'https://in-toto.io/Statement/v1';

/** A statement with the keys that signed it. */
export interface Read<S> {
  readonly statement: S;
  readonly signedBy: readonly string[];
  readonly claimed: readonly string[];
}

/** Where the provenance of a module file is. */
export function provenancePath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.provenance.json`;
}

/** Where the test result of a module file is. */
export function testResultPath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.test-result.json`;
}

/** Reads a provenance statement. Errors: `provenance-invalid`, `proof-key`. */
export async function readProvenance(
  bytes: Uint8Array,
  file: string,
  keys: readonly PublicKey[],
): Promise<Read<ProvenanceStatement>> {
  const { provenanceDocument } = await import('../documents/provenance.ts');
  return await read(bytes, file, keys, provenanceDocument);
}

/** Reads a test result. Errors: `provenance-invalid`, `proof-key`. */
export async function readTestResult(
  bytes: Uint8Array,
  file: string,
  keys: readonly PublicKey[],
): Promise<Read<TestResultStatement>> {
  const { testResultDocument } = await import('../documents/provenance.ts');
  return await read(bytes, file, keys, testResultDocument);
}

async function read<D extends DocumentDefinition>(
  bytes: Uint8Array,
  file: string,
  keys: readonly PublicKey[],
  definition: D,
): Promise<Read<Content<D>>> {
  const { contentOf } = await import('../documents/document.ts');
  const { payload, signedBy, claimed } = open(bytes, file, keys);
  const read = contentOf(definition.schema, payload);
  const problem = 'problem' in read ? read.problem : unsafeText(read.content);
  if (problem !== undefined) throw failure('provenance-invalid', { file, problem }, { where: { file } });
  return { statement: (read as { content: Content<D> }).content, signedBy, claimed };
}

/** Parts of it are shown on lines of a terminal. What the schema does not know is gone, so the depth is limited. */
function unsafeText(value: unknown): string | undefined {
  if (typeof value === 'string') return isPlainText(value) ? undefined : 'it has control characters';
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, one] of Object.entries(value)) {
    const problem = isPlainText(name) ? unsafeText(one) : 'it has control characters';
    if (problem !== undefined) return problem;
  }
  return undefined;
}
