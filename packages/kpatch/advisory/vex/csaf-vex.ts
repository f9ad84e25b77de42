/** CSAF 2.0 documents of the profile VEX (CSAF 2.0, section 4.5): one vulnerability for each CVE. */
import { createHash } from 'node:crypto';
import type { TriagedCve } from '../triage/answer.ts';
import { actionText, evidenceText, purlOf, type VexInput } from './subject.ts';

/** The publisher of a document. `namespace` is a URL that belongs to it. */
export interface Publisher {
  readonly name: string;
  readonly namespace: string;
}

/** The document. A document without vulnerabilities is not valid, so there must be a CVE. */
export function csafVex({ subject, cves, date, tool }: VexInput, publisher: Publisher): object {
  const { release, version, host, distribution = 'Linux' } = subject;
  const product = `kernel-${release}`;
  const where = host === undefined ? '' : ` on ${host}`;
  const digest = createHash('sha256')
    .update(JSON.stringify([subject, date]))
    .digest('hex')
    .slice(0, 16);
  return {
    document: {
      category: 'csaf_vex',
      csaf_version: '2.0',
      title: `Vulnerabilities of the Linux kernel ${release}${where}`,
      lang: 'en',
      distribution: { tlp: { label: 'WHITE' } },
      publisher: { category: host === undefined ? 'vendor' : 'user', ...publisher },
      notes: [
        {
          category: 'general',
          title: 'About this document',
          text: 'What is fixed by a live patch stays fixed while the patch is active: make the document again after a reboot.',
        },
      ],
      tracking: {
        id: `kpatch-vex-${release}-${digest}`,
        status: 'final',
        version: '1',
        initial_release_date: date,
        current_release_date: date,
        revision_history: [{ number: '1', date, summary: 'First version' }],
        generator: { engine: { name: 'kpatch', version: tool } },
      },
    },
    product_tree: {
      branches: [
        {
          category: 'vendor',
          name: distribution.split(':')[0],
          branches: [
            {
              category: 'product_name',
              name: 'Linux kernel',
              branches: [
                {
                  category: 'product_version',
                  name: version,
                  product: {
                    product_id: product,
                    name: `Linux kernel ${release} (${version})${where}`,
                    product_identification_helper: { purl: purlOf(subject) },
                  },
                },
              ],
            },
          ],
        },
      ],
    },
    vulnerabilities: cves.map((one) => vulnerability(one, product)),
  };
}

const statuses = {
  fixed: 'fixed',
  'not affected': 'known_not_affected',
  'not in this configuration': 'known_not_affected',
  open: 'known_affected',
  unknown: 'under_investigation',
} as const;

function vulnerability(one: TriagedCve, product: string): object {
  const status = statuses[one.answer];
  const products = [product];
  return {
    cve: one.cve,
    ...(one.title === '' ? {} : { title: one.title }),
    notes: [{ category: 'details', title: one.answer, text: evidenceText(one) }],
    product_status: { [status]: products },
    ...(status === 'known_not_affected'
      ? { flags: [{ label: 'vulnerable_code_not_present', product_ids: products }] }
      : {}),
    ...(status === 'known_affected'
      ? { remediations: [{ category: 'vendor_fix', details: actionText(one), product_ids: products }] }
      : {}),
  };
}
