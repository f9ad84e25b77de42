/** OpenVEX 0.2.0 documents (openvex/spec): one statement for each CVE. */
import { createHash } from 'node:crypto';
import type { TriagedCve } from '../triage/answer.ts';
import { actionText, evidenceText, purlOf, type VexInput } from './subject.ts';

/** The document. A document without statements is not valid, so there must be a CVE. */
export function openVex({ subject, cves, date, tool }: VexInput): object {
  const products = [{ '@id': purlOf(subject) }];
  const statements = cves.map((one) => ({
    vulnerability: { name: one.cve },
    products,
    ...statusOf(one),
    status_notes: evidenceText(one),
  }));
  const digest = createHash('sha256')
    .update(JSON.stringify([subject, date, statements]))
    .digest('hex');
  return {
    '@context': 'https://openvex.dev/ns/v0.2.0',
    '@id': `urn:kpatch:vex:${digest}`,
    author: subject.host ?? 'kpatch',
    timestamp: date,
    version: 1,
    tooling: `kpatch ${tool}`,
    statements,
  };
}

/** `not_affected` takes a justification or an impact statement, never both; `affected` needs an action. */
function statusOf(one: TriagedCve): object {
  switch (one.answer) {
    case 'fixed':
      return { status: 'fixed' };
    case 'not affected':
    case 'not in this configuration':
      return { status: 'not_affected', justification: 'vulnerable_code_not_present' };
    case 'open':
      return { status: 'affected', action_statement: actionText(one) };
    case 'unknown':
      return { status: 'under_investigation' };
  }
}
