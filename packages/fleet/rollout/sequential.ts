/**
 * Sequential tests as e-processes: numbers that stay near or below 1 while the release is harmless, whenever one looks, and grow
 * while it is not. By Ville's inequality (1939) the chance that such a number ever reaches 1/a is at most a, so it may be read after
 * every report. Each is a mixture over alternatives of Wald's probability ratio (Annals of Mathematical Statistics 1945; mixtures:
 * Robbins 1970; as confidence sequences: Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 2021; survey: Ramdas, Grünwald,
 * Vovk and Shafer, Statistical Science 2023). All values are natural logarithms.
 */

/**
 * How many times the usual rate the alternatives are, and their weights. Between 10 and 1,000 times, whole rollouts need 1.0 to 1.5 times
 * the host-days of Wald's test, which knows the ratio (docs/measurements.md).
 */
export const ratios = [10, 40, 200, 1500] as const;
const weights = [0.3, 0.15, 0.15, 0.4].map(Math.log);

/** The usual rate, as events in host-days: a Gamma distribution with this shape and this rate. */
export interface Baseline {
  readonly events: number;
  readonly hostDays: number;
}

/** The logarithm of the sum of exponentials. */
export function logSum(values: readonly number[]): number {
  const largest = Math.max(...values);
  if (!Number.isFinite(largest)) return largest;
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

/** The mean of exponentials with the weights of `ratios`, or with equal weights. */
const mixture = (values: readonly number[]): number => logSum(values.map((value, at) => value + weights[at]!));
const mean = (values: readonly number[]): number => logSum(values) - Math.log(values.length);

/**
 * Evidence that `events` in `hostDays` are more than the baseline explains. For one ratio r it is
 * r^k ((T+t)/(T+r t))^(n+k): the ratio of the probabilities when the unknown usual rate has the right Haar prior and the baseline was
 * seen until its n-th event (Pérez-Ortiz, Lardy, de Heide and Grünwald, Annals of Statistics 2024), which holds at all times.
 */
export function rateEvidence(events: number, hostDays: number, baseline: Baseline): number {
  const { events: n, hostDays: T } = baseline;
  if (T <= 0) return 0;
  // Without any host-days an event counts all the more: a release that crashes hosts while they load it is never seen to run.
  const t = Math.max(0, hostDays);
  return mixture(ratios.map((r) => events * Math.log(r) + (n + events) * (Math.log(T + t) - Math.log(T + r * t))));
}

/** Evidence from hours in which patched and unpatched hosts ran side by side, one number for each of `ratios`. */
export type SideBySide = readonly number[];

export const noSideBySide: SideBySide = ratios.map(() => 0);

/**
 * Adds one hour. Given that an event happens, it happens on a patched host with probability t/(t+u) if the release is harmless and
 * r t/(r t+u) if it multiplies the rate by r, whatever the rate is in that hour (Cox's partial likelihood; as e-process: ter Schure,
 * Pérez-Ortiz, Ly and Grünwald, "The safe logrank test", 2024). What harms both groups alike cancels out.
 */
export function addSideBySide(
  before: SideBySide,
  patched: { readonly events: number; readonly hostDays: number },
  unpatched: { readonly events: number; readonly hostDays: number },
): SideBySide {
  const events = patched.events + unpatched.events;
  const [t, u] = [patched.hostDays, unpatched.hostDays];
  if (events === 0 || t <= 0 || u <= 0) return before;
  return ratios.map((r, at) => before[at]! + patched.events * Math.log(r) + events * Math.log((t + u) / (r * t + u)));
}

export function sideBySideEvidence(state: SideBySide): number {
  return mixture(state);
}

/** Evidence that the share of bad outcomes is above `allowed`. */
export function shareEvidence(bad: number, tried: number, allowed: number): number {
  const alternatives = [2, 4, 8, 16, 32].map((r) => Math.min(r * allowed, 0.98));
  const good = tried - bad;
  return mean(alternatives.map((p) => bad * Math.log(p / allowed) + good * Math.log((1 - p) / (1 - allowed))));
}

/**
 * Bounds on how many times the usual rate the patched hosts' rate is; both hold at all times with error `error` each. The lower bound
 * is 0 while nothing excludes it, the upper one is infinite.
 */
export function ratioBounds(
  events: number,
  hostDays: number,
  baseline: Baseline,
  error: number,
): { readonly least: number; readonly most: number } {
  const limit = -Math.log(error);
  const { events: n, hostDays: T } = baseline;
  // A rate of x times the baseline for t host-days is the baseline for x t host-days.
  const excluded = (x: number, alternatives: readonly number[]): boolean =>
    mean(
      alternatives.map((r) => {
        const t = x * hostDays;
        return events * Math.log(r) + (n + events) * (Math.log(T + t) - Math.log(T + r * t));
      }),
    ) >= limit;
  if (hostDays <= 0 || T <= 0) return { least: 0, most: Number.POSITIVE_INFINITY };
  const low = edge((x) => excluded(x, [2, 5, 20]));
  const high = edge((x) => !excluded(x, [0.5, 0.2, 0.05]));
  return { least: low, most: high };
}

/** The largest x between 1e-4 and 1e5 of which `holds` is true, for something that is true below an edge and false above it. */
function edge(holds: (x: number) => boolean): number {
  let [low, high] = [Math.log(1e-4), Math.log(1e5)];
  if (!holds(Math.exp(low))) return 0;
  if (holds(Math.exp(high))) return Number.POSITIVE_INFINITY;
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (holds(Math.exp(middle))) low = middle;
    else high = middle;
  }
  return Math.exp(low);
}

/** The probability that a Poisson variable with this mean is at least `count`. */
export function poissonAtLeast(count: number, expected: number): number {
  if (count <= 0) return 1;
  if (expected <= 0) return 0;
  let term = Math.exp(-expected);
  let below = term;
  for (let k = 1; k < count; k++) {
    term *= expected / k;
    below += term;
  }
  // Far in the tail the sum above is 1 to all digits: add up the tail itself.
  if (below < 0.999_999) return 1 - below;
  let tail = Math.exp(count * Math.log(expected) - expected - logFactorial(count));
  let sum = 0;
  for (let k = count + 1; tail > sum * 1e-12; k++) {
    sum += tail;
    tail *= expected / k;
  }
  return Math.min(sum, 1);
}

/** The probability of at least `count` successes in `tries`. */
export function binomialAtLeast(count: number, tries: number, chance: number): number {
  let sum = 0;
  for (let k = count; k <= tries; k++)
    sum += Math.exp(
      logFactorial(tries) -
        logFactorial(k) -
        logFactorial(tries - k) +
        k * Math.log(chance) +
        (tries - k) * Math.log1p(-chance),
    );
  return Math.min(sum, 1);
}

/** Stirling's series: ten digits from 10 on, the product below. */
function logFactorial(n: number): number {
  if (n < 10) {
    let product = 1;
    for (let k = 2; k <= n; k++) product *= k;
    return Math.log(product);
  }
  return n * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI * n) + 1 / (12 * n) - 1 / (360 * n ** 3);
}
