/** A proof as an in-toto test result, which tools that know nothing of kpatch can read. */
import { sha256 } from '../base/digest.ts';
import type { Proof } from '../module/proof.ts';
import { statementType, type TestResultStatement } from './statement.ts';

/** The statement for a proof; `bytes` are those of the proof file. */
export function testResultOf(proof: Proof, bytes: string | Uint8Array, file: string): TestResultStatement {
  const { module, kernel, checks, inputs, verdict } = proof;
  const named = (outcome: string): string[] =>
    checks.filter((one) => one.outcome === outcome).map(({ check }) => check);
  return {
    _type: statementType,
    subject: [{ name: module.file, digest: { sha256: module.sha256 } }],
    predicateType: 'https://in-toto.io/attestation/test-result/v0.1',
    predicate: {
      result: verdict === 'proven' ? 'PASSED' : verdict === 'not proven' ? 'FAILED' : 'WARNED',
      configuration: [
        { name: file, digest: { sha256: sha256(bytes) }, annotations: { role: 'proof', plan: proof.plan } },
        {
          name: `kernel image ${kernel.release}`,
          digest: { sha256: kernel.image },
          annotations: { role: 'kernel image' },
        },
        ...inputs.map(({ role, name, sha256 }) => ({ name, digest: { sha256 }, annotations: { role } })),
        { name: proof.tool, uri: `pkg:generic/${proof.tool.replace(' ', '@')}`, annotations: { role: 'tool' } },
        { name: proof.qemu, uri: 'pkg:generic/qemu', annotations: { role: 'emulator' } },
      ],
      passedTests: named('held'),
      warnedTests: named('not run'),
      failedTests: named('failed'),
    },
  };
}
