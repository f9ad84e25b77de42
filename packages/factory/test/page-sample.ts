/** A sample report of the factory, with hostile texts, for tests and pictures of its page. */
import type { Answer, TriagedCve } from 'kpatch/advisories';
import { sha256 } from 'kpatch/parts';
import { type KernelReport, kernelReport } from '#factory/report/outcomes.ts';
import { FolderBlobs } from '#factory/store/blobs.ts';

const PATCH_TEXT = '--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-<b>\n+</pre>\n';
const LOG_TEXT = `x.c:1:1: error: '<script>' undeclared ${'y'.repeat(300)}`;
const [PATCH, LOG, REPORT] = [PATCH_TEXT, LOG_TEXT, '<p>held</p>'].map((text) => sha256(text)) as [
  string,
  string,
  string,
];

const commit = (id: string) => ({ id: id.repeat(40), subject: `change ${id}`, position: 0, fixes: [], cves: [] });

export function triaged(cve: string, answer: Answer, title = 'a flaw'): TriagedCve {
  const evidence = [{ kind: 'code', by: 'the source', text: '<b>why</b>' }] as const;
  return {
    cve,
    title,
    answer,
    evidence,
    objects: [],
    severity: 'important',
    exploited: false,
    selected: true,
    selection: 'x',
  };
}

const A_DAY_LATER = '2026-11-30T10:00:00Z';

/** One kernel with a CVE of each outcome. */
export function report(release = '6.1.0-47-amd64'): KernelReport {
  const cves = [
    { ...triaged('CVE-2026-1001', 'open', '<script>alert(1)</script> & "quotes"'), published: '2026-11-29T08:00:00Z' },
    triaged('CVE-2026-1002', 'open'),
    triaged('CVE-2026-1003', 'unknown'),
    triaged('CVE-2026-1004', 'fixed'),
    triaged('CVE-2026-1005', 'not in this configuration'),
    triaged('CVE-2026-1006', 'open'),
    { ...triaged('CVE-2026-1007', 'open'), selected: false },
  ];
  const module = { name: 'm', digest: 'd', functions: ['f'] };
  return kernelReport(release, cves, {
    series: {
      patches: [],
      dropped: [{ commit: commit('b'), cves: ['CVE-2026-1002'], reason: 'the build refuses it' }],
      without: [{ cve: 'CVE-2026-1003', reason: 'no commit' }],
    },
    build: {
      series: 's',
      version: 2,
      module,
      cves: ['CVE-2026-1001', 'CVE-2026-1006'],
      patches: [
        {
          commit: 'a'.repeat(40),
          subject: '<i>x</i>',
          cves: ['CVE-2026-1001'],
          digest: PATCH,
          rewritten: ['a <rule>'],
        },
      ],
      dropped: [{ commit: 'b'.repeat(40), cves: ['CVE-2026-1002'], reason: 'the build refuses it' }],
    },
    proof: { module: 'd', verdict: 'proven', reasons: [], report: REPORT, predecessor: 'old' },
    published: { module: 'old', version: 1, cves: ['CVE-2026-1001'], at: A_DAY_LATER },
    excluded: {
      ['b'.repeat(40)]: { by: 'build', reason: 'the build refuses it', log: LOG },
      ['c'.repeat(40)]: 'of version 0.1',
    },
  });
}

/** A store with what the report names. */
export async function texts(folder: string): Promise<FolderBlobs> {
  const blobs = new FolderBlobs(folder);
  for (const text of [PATCH_TEXT, LOG_TEXT, '<p>held</p>']) await blobs.put(text);
  return blobs;
}

/** One page of each kind. */
export const paths = [
  '/',
  '/cve/CVE-2026-1001',
  '/kernel/6.1.0-47-amd64',
  `/kernel/6.1.0-47-amd64/refusal/${'b'.repeat(40)}`,
  `/kernel/6.1.0-47-amd64/patch/${'a'.repeat(40)}`,
];
