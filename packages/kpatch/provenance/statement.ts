/** In-toto statements of kpatch: reading them, and the parts that both kinds share. */
import { failure } from '../base/errors/error.ts';
import { isPlainText } from '../base/text/printable.ts';
import type { provenanceDocument, testResultDocument } from '../documents/definitions/provenance.ts';
import type { Content } from '../documents/document.ts';
import { formProblem } from '../documents/form.ts';
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

/** Where the test result of a module file is. */
export function testResultPath(module: string): string {
  return `${module.replace(/\.ko$/, '')}.test-result.json`;
}

/** Reads a provenance statement. Errors: `provenance-invalid`, `proof-key`. */
export function readProvenance(bytes: Uint8Array, file: string, keys: readonly PublicKey[]): Read<ProvenanceStatement> {
  return read(bytes, file, keys, 'slsa.provenance/1');
}

/** Reads a test result. Errors: `provenance-invalid`, `proof-key`. */
export function readTestResult(bytes: Uint8Array, file: string, keys: readonly PublicKey[]): Read<TestResultStatement> {
  return read(bytes, file, keys, 'in-toto.test-result/0.1');
}

function read<N extends 'slsa.provenance/1' | 'in-toto.test-result/0.1', S>(
  bytes: Uint8Array,
  file: string,
  keys: readonly PublicKey[],
  form: N,
): Read<S> {
  const { payload, signedBy, claimed } = open(bytes, file, keys);
  const problem = formProblem(form, payload) ?? unsafeText(payload);
  if (problem !== undefined) throw failure('provenance-invalid', { file, problem }, { where: { file } });
  return { statement: payload as S, signedBy, claimed };
}

/** Parts of it are shown on lines of a terminal. Members that the form does not know may be nested as deep as they like. */
function unsafeText(document: unknown): string | undefined {
  const open: unknown[] = [document];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === 'string' && !isPlainText(value)) return 'it has control characters';
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, one] of Object.entries(value)) {
      if (!isPlainText(name)) return 'it has control characters';
      open.push(one);
    }
  }
  return undefined;
}
