/** What became of every CVE for every kernel, from what the steps stored. */
import type { Answer, Evidence, TriagedCve } from 'kpatch/advisories';
import type { FactoryConfig } from '../config.ts';
import type {
  Exclusion,
  Exclusions,
  StoredBuild,
  StoredProof,
  StoredPublication,
  StoredSeries,
} from '../steps/factory.ts';
import type { State } from '../store/state.ts';
import { type Waits, waitOf, waitsOf } from './wait.ts';

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
  /** When its record was published. */
  readonly published?: string;
  /** Since when a published live patch has fixed it. */
  readonly patched?: string;
  /** The commit whose refusal is stored in full. */
  readonly refused?: string;
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
  /** From the publication of the record to the live patch, over the CVEs that a live patch fixes. */
  readonly waits?: Waits;
  /** What was refused, by commit. */
  readonly refusals?: Readonly<Record<string, Exclusion>>;
}

export const funnelStages = ['named', 'affected', 'built here', 'patched', 'proven', 'published'] as const;
export type FunnelStage = (typeof funnelStages)[number];

/** Reads what is stored about all kernels of the settings. */
export async function readReport(config: FactoryConfig, state: State): Promise<KernelReport[]> {
  const reports: KernelReport[] = [];
  for (const { release } of config.kernels) {
    const [triaged, series, build, proof, published, excluded] = [
      await state.read('triage', release),
      await state.read('series', release),
      await state.read('build', release),
      await state.read('proof', release),
      await state.read('published', release),
      await state.read('excluded', release),
    ];
    reports.push(kernelReport(release, triaged ?? [], { series, build, proof, published, excluded }));
  }
  return reports;
}

interface Stored {
  readonly series: StoredSeries | undefined;
  readonly build: StoredBuild | undefined;
  readonly proof: StoredProof | undefined;
  readonly published: StoredPublication | undefined;
  readonly excluded?: Exclusions | undefined;
}

/** The report of one kernel. */
export function kernelReport(release: string, triaged: readonly TriagedCve[], stored: Stored): KernelReport {
  const { series, build, proof, published } = stored;
  const out = new Set(published?.cves);
  const patched = new Set(build?.module === undefined ? [] : build.cves);
  const isProven = proof !== undefined && proof.module === build?.module?.digest && proof.verdict === 'proven';
  const refusals = Object.fromEntries(
    Object.entries(stored.excluded ?? {}).filter((one): one is [string, Exclusion] => typeof one[1] !== 'string'),
  );
  const reasons = new Map<string, string>();
  const refused = new Map<string, string>();
  for (const { commit, cves, reason } of series?.dropped ?? []) {
    for (const cve of cves) reasons.set(cve, reason);
    if (refusals[commit.id] !== undefined) for (const cve of cves) refused.set(cve, commit.id);
  }
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
    const said = (outcome: Outcome, reason: string, more: Partial<CveOutcome> = {}): CveOutcome => ({
      ...common,
      outcome,
      reason,
      ...more,
    });
    if (answer !== 'open' && answer !== 'unknown') return said(answer, by);
    if (out.has(cve)) {
      const patched = published?.since?.[cve] ?? published?.at;
      return said('published', `live patch ${published?.version}`, patched === undefined ? {} : { patched });
    }
    if (patched.has(cve)) return said(isProven ? 'proven' : 'patched', `live patch ${build?.version}`);
    if (!one.selected) return said(answer, `not selected: ${one.selection}`);
    const reason = reasons.get(cve);
    if (reason === undefined) return said(answer, by === '' ? '' : `${by} fixes it`);
    const commit = refused.get(cve);
    return said('left out', reason, commit === undefined ? {} : { refused: commit });
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
  const waits = waitsOf(cves.flatMap((one) => waitOf(one.published, one.patched) ?? []));
  return {
    release,
    cves,
    funnel,
    ...(waits === undefined ? {} : { waits }),
    ...(Object.keys(refusals).length === 0 ? {} : { refusals }),
    ...(published === undefined ? {} : { published }),
    ...(build === undefined ? {} : { build }),
    ...(proof === undefined ? {} : { proof }),
  };
}
