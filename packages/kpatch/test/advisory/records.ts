/** CVE JSON 5 records in the form of the kernel's own CNA, made from a few facts. */

export interface RecordFacts {
  readonly id: string;
  readonly title?: string;
  readonly files?: readonly string[];
  /** First upstream version with the flaw. */
  readonly from?: string;
  /** Fixed versions of stable series, and last of the main line. */
  readonly fixedVersions?: readonly string[];
  readonly introduced?: readonly string[];
  readonly fixed?: readonly string[];
  /** Stable series that got the flaw later: from, and the version that fixed it. */
  readonly carried?: readonly (readonly [string, string])[];
  readonly vector?: string;
  readonly published?: string;
  readonly state?: string;
}

/** The record: ranges of commits in one product entry, versions in another, as the CNA's generator writes them. */
export function cveRecord(facts: RecordFacts): object {
  const { id, title = 'a flaw', files = ['net/core/dev.c'], from, fixedVersions = [], vector } = facts;
  const { introduced = ['a'.repeat(40)], fixed = [], carried = [], published = '2026-06-01T10:00:00.000Z' } = facts;
  const product = { product: 'Linux', vendor: 'Linux', programFiles: files };
  const ranges = Array.from({ length: Math.max(introduced.length, fixed.length) }, (_, at) => ({
    version: introduced[at] ?? introduced[0],
    ...(fixed[at] === undefined ? {} : { lessThan: fixed[at] }),
    status: 'affected',
    versionType: 'git',
  }));
  const backports = carried.map(([version, lessThan]) => ({
    version,
    lessThan,
    status: 'affected',
    versionType: 'semver',
  }));
  const safe = fixedVersions.map((version, at) => ({
    version,
    lessThanOrEqual: at === fixedVersions.length - 1 ? '*' : `${version.split('.').slice(0, 2).join('.')}.*`,
    status: 'unaffected',
    versionType: at === fixedVersions.length - 1 ? 'original_commit_for_fix' : 'semver',
  }));
  const first =
    from === undefined
      ? []
      : [
          { version: from, status: 'affected' },
          { version: '0', lessThan: from, status: 'unaffected', versionType: 'semver' },
        ];
  return {
    dataType: 'CVE_RECORD',
    dataVersion: '5.2',
    cveMetadata: { cveId: id, state: facts.state ?? 'PUBLISHED', assignerShortName: 'Linux', datePublished: published },
    containers: {
      cna: {
        providerMetadata: { shortName: 'Linux' },
        title,
        ...(vector === undefined ? {} : { metrics: [{ cvssV3_1: { vectorString: vector } }] }),
        affected: [
          { ...product, defaultStatus: 'unaffected', versions: [...ranges, ...backports] },
          ...(safe.length + first.length === 0
            ? []
            : [{ ...product, defaultStatus: 'affected', versions: [...first, ...safe] }]),
        ],
      },
    },
  };
}
