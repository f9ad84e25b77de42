/** What the test of a rollout counts, how much of the permitted error each metric may use, and what is usual. */

/** Incidents over time under observation; the unpatched hosts have them as well. */
export const rateMetrics = ['crash', 'oops', 'missing'] as const;
/** Outcomes of loading the release; only patched hosts have them. */
export const shareMetrics = ['failed', 'slow'] as const;

export type RateMetric = (typeof rateMetrics)[number];
export type ShareMetric = (typeof shareMetrics)[number];
export type Metric = RateMetric | ShareMetric;

/**
 * The chance that a harmless release is halted, for all metrics and the whole time together. The weights of the metrics add up to 1,
 * and a weighted mean of e-values is an e-value whatever their dependence (Vovk and Wang, Annals of Statistics 2021).
 */
export const ERROR = 0.01;

export interface RateRule {
  readonly weight: number;
  /** Events per host-day that are assumed until the fleet's own history says more. */
  readonly usual: number;
  /** What it is, as the subject of a sentence. */
  readonly words: string;
}

/** The assumption about the usual rate counts as much as this many events. */
export const ASSUMED_EVENTS = 10;

export const rateRules: Readonly<Record<RateMetric, RateRule>> = {
  crash: { weight: 0.6, usual: 1 / 20_000, words: 'crashes' },
  oops: { weight: 0.1, usual: 1 / 10_000, words: 'kernel errors (oops)' },
  missing: { weight: 0.15, usual: 1 / 200, words: 'missing reports' },
};

export interface ShareRule {
  readonly weight: number;
  /** The share of loads that may end so. */
  readonly allowed: number;
  readonly words: string;
}

export const shareRules: Readonly<Record<ShareMetric, ShareRule>> = {
  failed: { weight: 0.1, allowed: 0.02, words: 'failed loads' },
  slow: { weight: 0.05, allowed: 0.05, words: 'slow transitions' },
};

/** The words for a metric, in the plural. */
export function metricWords(metric: Metric): string {
  return metric in rateRules ? rateRules[metric as RateMetric].words : shareRules[metric as ShareMetric].words;
}
