/** What became of every CVE for every kernel, from what the steps stored. */
import type { Answer, Evidence, TriagedCve } from 'kpatch/advisories';
import type { FactoryConfig } from '../config.ts';
import type { StoredBuild, StoredProof, StoredPublication, StoredSeries } from '../steps/factory.ts';
import type { State } from '../store/state.ts';

/** `published`, `proven` and `patched` come on top of an answer `open` or `unknown`; `left out` has a reason. */
export type Outcome = Exclude<Answer, 'open'> | 'open' | 'left out' | 'patched' | 'proven' | 'published';

export const outcomes: readonly Outcome[] = [
  'published',
  'proven',
  'patched',
  'left out',
  'open',
  'unknown',
  'fixed',
  'not in this configuration',
  'not affected',
];

export interface CveOutcome {
  readonly cve: string;
  readonly title: string;
  readonly severity: string;
  readonly exploited: boolean;
  readonly outcome: Outcome;
  /** Why it was left out, or what fixed it. */
  readonly reason: string;
  readonly evidence: readonly Evidence[];
  readonly published?: string;
}

export interface KernelReport {
  readonly release: string;
  readonly cves: readonly CveOutcome[];
  /** CVEs of each stage; a later stage is part of the one before. */
  readonly funnel: Readonly<Record<FunnelStage, number>>;
  /** The published module. */
  readonly published?: StoredPublication;
  readonly build?: StoredBuild;
  readonly proof?: StoredProof;
}

export const funnelStages = ['named', 'affected', 'built here', 'patched', 'proven', 'published'] as const;
export type FunnelStage = (typeof funnelStages)[number];

/** Reads what is stored about all kernels of the settings. */
export async function readReport(config: FactoryConfig, state: State): Promise<KernelReport[]> {
  const reports: KernelReport[] = [];
  for (const { release } of config.kernels) {
    const [triaged, series, build, proof, published] = [
      await state.read<readonly TriagedCve[]>(`triage:${release}`),
      await state.read<StoredSeries>(`series:${release}`),
      await state.read<StoredBuild>(`build:${release}`),
      await state.read<StoredProof>(`proof:${release}`),
      await state.read<StoredPublication>(`published:${release}`),
    ];
    reports.push(kernelReport(release, triaged ?? [], { series, build, proof, published }));
  }
  return reports;
}

interface Stored {
  readonly series: StoredSeries | undefined;
  readonly build: StoredBuild | undefined;
  readonly proof: StoredProof | undefined;
  readonly published: StoredPublication | undefined;
}

/** The report of one kernel. */
export function kernelReport(release: string, triaged: readonly TriagedCve[], stored: Stored): KernelReport {
  const { series, build, proof, published } = stored;
  const out = new Set(published?.cves);
  const patched = new Set(build?.module === undefined ? [] : build.cves);
  const isProven = proof !== undefined && proof.module === build?.module?.digest && proof.verdict === 'proven';
  const reasons = new Map<string, string>();
  for (const { cves, reason } of series?.dropped ?? []) for (const cve of cves) reasons.set(cve, reason);
  for (const { cve, reason } of series?.without ?? []) reasons.set(cve, reason);
  const cves = triaged.map((one): CveOutcome => {
    const { cve, title, severity, exploited, evidence, answer, by = '' } = one;
    const common = {
      cve,
      title,
      severity,
      exploited,
      evidence,
      ...(one.published === undefined ? {} : { published: one.published }),
    };
    const said = (outcome: Outcome, reason: string): CveOutcome => ({ ...common, outcome, reason });
    if (answer !== 'open' && answer !== 'unknown') return said(answer, by);
    if (out.has(cve)) return said('published', `live patch ${published?.version}`);
    if (patched.has(cve)) return said(isProven ? 'proven' : 'patched', `live patch ${build?.version}`);
    if (!one.selected) return said(answer, `not selected: ${one.selection}`);
    const reason = reasons.get(cve);
    return reason === undefined ? said(answer, by === '' ? '' : `${by} fixes it`) : said('left out', reason);
  });
  const count = (...of: readonly Outcome[]): number => cves.filter(({ outcome }) => of.includes(outcome)).length;
  const needed = count('published', 'proven', 'patched', 'left out', 'open', 'unknown');
  const funnel = {
    named: cves.length,
    affected: cves.length - count('not affected', 'fixed'),
    'built here': needed,
    patched: count('published', 'proven', 'patched'),
    proven: count('proven') + (isProven && published?.module === build?.module?.digest ? count('published') : 0),
    published: count('published'),
  };
  return {
    release,
    cves,
    funnel,
    ...(published === undefined ? {} : { published }),
    ...(build === undefined ? {} : { build }),
    ...(proof === undefined ? {} : { proof }),
  };
}
