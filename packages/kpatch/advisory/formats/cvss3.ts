/** Base scores of CVSS 3.0 and 3.1 vectors (specification document, section 7 "CVSS v3.1 Equations"). */

const weights: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  AV: { N: 0.85, A: 0.62, L: 0.55, P: 0.2 },
  AC: { L: 0.77, H: 0.44 },
  UI: { N: 0.85, R: 0.62 },
  C: { H: 0.56, L: 0.22, N: 0 },
  I: { H: 0.56, L: 0.22, N: 0 },
  A: { H: 0.56, L: 0.22, N: 0 },
};
/** Privileges required weigh more where the scope changes. */
const privileges = { U: { N: 0.85, L: 0.62, H: 0.27 }, C: { N: 0.85, L: 0.68, H: 0.5 } } as const;

/** Metrics of a vector by name; `undefined` where a metric is written twice or badly. */
export function readVector(vector: string): Map<string, string> | undefined {
  const metrics = new Map<string, string>();
  for (const part of vector.split('/').slice(1)) {
    const [, name, value] = /^([A-Z]{1,3}):([A-Za-z]+)$/.exec(part) ?? [];
    if (name === undefined || value === undefined || metrics.has(name)) return undefined;
    metrics.set(name, value);
  }
  return metrics;
}

/** The base score, 0 to 10 in steps of 0.1; `undefined` where a base metric is missing or has no such value. */
export function cvss3Score(vector: string): number | undefined {
  const metrics = readVector(vector);
  const scope = metrics?.get('S');
  if (metrics === undefined || (scope !== 'U' && scope !== 'C')) return undefined;
  const pr = metrics.get('PR');
  if (pr !== 'N' && pr !== 'L' && pr !== 'H') return undefined;
  const weight = (name: string): number => weights[name]?.[metrics.get(name) ?? ''] ?? Number.NaN;
  const sub = 1 - (1 - weight('C')) * (1 - weight('I')) * (1 - weight('A'));
  const exploitability = 8.22 * weight('AV') * weight('AC') * privileges[scope][pr] * weight('UI');
  const impact = scope === 'U' ? 6.42 * sub : 7.52 * (sub - 0.029) - 3.25 * (sub - 0.02) ** 15;
  if (Number.isNaN(impact) || Number.isNaN(exploitability)) return undefined;
  if (impact <= 0) return 0;
  return roundUp(Math.min((scope === 'U' ? 1 : 1.08) * (impact + exploitability), 10));
}

/** Smallest number with one decimal that is not less, in whole numbers so that floating point cannot lift it (appendix A). */
function roundUp(value: number): number {
  const whole = Math.round(value * 100_000);
  return whole % 10_000 === 0 ? whole / 100_000 : (Math.floor(whole / 10_000) + 1) / 10;
}
