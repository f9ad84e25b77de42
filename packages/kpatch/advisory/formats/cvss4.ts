/**
 * Scores of CVSS 4.0 vectors. Version 4 has no formula: each vector belongs to one of 270 "macro vectors", whose scores
 * were set by experts, and the score is interpolated towards the next lower macro vectors (specification document, section
 * 8).
 */
import { readVector } from './cvss3.ts';

/**
 * Scores of the macro vectors (specification, table 24 onwards; published by FIRST under BSD-2-Clause). A block for each
 * EQ1 (0 to 2) and EQ2 (0, 1); in it a line for each EQ3 and EQ6 (00, 01, 10, 11, 21); in it EQ4 (0 to 2) and EQ5 (0 to 2).
 */
const scores = `
10 9.8 9.5 10 9.3 9.1 9.3 8.9 8.1
9.9 9.5 9.2 9.6 8.7 8.1 9 8 6.8
9.8 9.5 9 9.3 8.9 8.1 8.8 7.8 6.9
9.5 9.2 8.4 9.2 8.1 6.5 8 7 4.8
9.2 8.2 7.2 7.9 6.9 5 6.9 5.5 2.7

9.9 9.5 9.2 9.5 9 8.4 9.2 8.2 7.2
9.7 9.2 8.5 9.1 8.3 7.1 8.1 7.1 5.3
9.5 9.2 8.5 9.2 8 7 8.4 7.1 5
9.3 8.5 7.3 8.2 7.2 5.9 7 5.2 3
8.6 7.5 5.2 7.1 5.2 2.9 6.3 2.9 1.7

9.8 9.4 9.1 9.4 8.6 7.7 8.7 7.4 6.3
9.5 8.7 8.1 8.9 7.4 6.4 7.5 6.3 4.9
9.4 8.8 7.6 8.6 7.4 5.9 7.2 5.7 5.2
8.9 7.7 6.7 7.6 5.8 5 5.7 5.2 2.5
8.3 7 5.4 6.5 5.8 2.6 5.3 2.1 1.3

9.5 8.8 7.6 9 7.5 6.1 7.7 6.8 5.2
9 7.6 7 7.7 6.2 5.3 6.6 5.9 3
8.9 7.6 6.2 7.4 5.7 4.7 6.1 5.7 2.4
7.8 6.7 5.8 5.9 5.7 2.3 5.2 2.9 1.6
7.1 5.9 3 5.8 2.6 1.5 2.3 1.3 0.6

9.3 8.6 7.5 8.6 7.4 5.6 7 5.2 4
8.7 7.2 5.8 7.4 6.1 3.4 5.4 4 2.2
8.5 7.4 6.2 7.2 5.5 4.6 5.3 3.4 1.9
7.5 5.5 5.1 5.7 4.1 1.9 3.6 1.9 0.8
6.4 5.1 2 4.7 2.1 1.1 2.4 0.9 0.4

8.8 7.3 6 7.3 5.9 4.1 5.4 4.5 2
7.5 5.3 5 5.5 4 2 4.3 2.2 1.1
7.5 5.8 4 6.1 4.8 2 4.6 1.7 0.8
5.5 4.5 2.1 5.1 1.8 0.9 1.8 0.7 0.2
5.3 2.4 1.4 2.4 1.2 0.5 1 0.3 0.1`
  .trim()
  .split(/\s+/)
  .map(Number);

const joint = ['00', '01', '10', '11', '21'];

/** The score of a macro vector given as its six digits; `undefined` where there is no such macro vector. */
function macroScore(eq: readonly number[]): number | undefined {
  const [eq1 = 9, eq2 = 9, eq3 = 9, eq4 = 9, eq5 = 9, eq6 = 9] = eq;
  const line = joint.indexOf(`${eq3}${eq6}`);
  if (eq1 > 2 || eq2 > 1 || line < 0 || eq4 > 2 || eq5 > 2) return undefined;
  return scores[((eq1 * 2 + eq2) * 5 + line) * 9 + eq4 * 3 + eq5];
}

/** Values from most to least severe; the position is the distance in steps. */
const order: Readonly<Record<string, string>> = {
  AV: 'NALP',
  PR: 'NLH',
  UI: 'NPA',
  AC: 'LH',
  AT: 'NP',
  VC: 'HLN',
  VI: 'HLN',
  VA: 'HLN',
  SC: 'SHLN',
  SI: 'SHLN',
  SA: 'SHLN',
  CR: 'HML',
  IR: 'HML',
  AR: 'HML',
};
const base = ['AV', 'PR', 'UI', 'AC', 'AT', 'VC', 'VI', 'VA', 'SC', 'SI', 'SA'];
const groups = {
  eq1: ['AV', 'PR', 'UI'],
  eq2: ['AC', 'AT'],
  eq36: ['VC', 'VI', 'VA', 'CR', 'IR', 'AR'],
  eq4: ['SC', 'SI', 'SA'],
};

/** The most severe vectors of each level (specification, tables 25 to 29), values in the order of `groups`. */
const highest: Readonly<Record<keyof typeof groups, Readonly<Record<string, readonly string[]>>>> = {
  eq1: { 0: ['NNN'], 1: ['ANN', 'NLN', 'NNP'], 2: ['PNN', 'ALP'] },
  eq2: { 0: ['LN'], 1: ['HN', 'LP'] },
  eq36: {
    '00': ['HHHHHH'],
    '01': ['HHLMMH', 'HHHMMM'],
    10: ['LHHHHH', 'HLHHHH'],
    11: ['LHLHMH', 'LHHHMM', 'HLHMHM', 'HLLMHH', 'LLHHHM'],
    21: ['LLLHHH'],
  },
  eq4: { 0: ['HSS'], 1: ['HHH'], 2: ['LLL'] },
};
/** Depth of each level in steps (specification, table 30). */
const depth: Readonly<Record<keyof typeof groups, Readonly<Record<string, number>>>> = {
  eq1: { 0: 1, 1: 4, 2: 5 },
  eq2: { 0: 1, 1: 2 },
  eq36: { '00': 7, '01': 6, 10: 8, 11: 8, 21: 10 },
  eq4: { 0: 6, 1: 5, 2: 4 },
};

/** The score, 0 to 10 in steps of 0.1; `undefined` where a base metric is missing or has no such value. */
export function cvss4Score(vector: string): number | undefined {
  const given = readVector(vector);
  if (given === undefined) return undefined;
  const metric = (name: string): string => {
    const modified = given.get(`M${name}`);
    if (modified !== undefined && modified !== 'X') return modified;
    const value = given.get(name) ?? 'X';
    if (value !== 'X') return value;
    return name === 'E' ? 'A' : 'H'; // what is not defined counts as the worst
  };
  if (!base.every((name) => given.has(name))) return undefined;
  if (!Object.entries(order).every(([name, values]) => values.includes(metric(name)) && metric(name).length === 1)) {
    return undefined;
  }
  if (!'APU'.includes(metric('E')) || given.get('SC') === 'S') return undefined;
  if (['VC', 'VI', 'VA', 'SC', 'SI', 'SA'].every((name) => metric(name) === 'N')) return 0;
  return interpolate(macroVector(metric), metric);
}

/** The six digits of the macro vector (specification, section 8.2). */
function macroVector(metric: (name: string) => string): number[] {
  const is = (name: string, value: string): boolean => metric(name) === value;
  const n = [is('AV', 'N'), is('PR', 'N'), is('UI', 'N')];
  const eq1 = n.every(Boolean) ? 0 : n.some(Boolean) && !is('AV', 'P') ? 1 : 2;
  const eq2 = is('AC', 'L') && is('AT', 'N') ? 0 : 1;
  const eq3 = is('VC', 'H') && is('VI', 'H') ? 0 : ['VC', 'VI', 'VA'].some((name) => is(name, 'H')) ? 1 : 2;
  const eq4 = is('SI', 'S') || is('SA', 'S') ? 0 : ['SC', 'SI', 'SA'].some((name) => is(name, 'H')) ? 1 : 2;
  const eq5 = is('E', 'A') ? 0 : is('E', 'P') ? 1 : 2;
  const eq6 = ['C', 'I', 'A'].some((name) => is(`${name}R`, 'H') && is(`V${name}`, 'H')) ? 0 : 1;
  return [eq1, eq2, eq3, eq4, eq5, eq6];
}

/**
 * Score of the macro vector less the mean of the proportional distances to the next lower ones (section 8.2, steps 1 to 3).
 */
function interpolate(eq: readonly number[], metric: (name: string) => string): number | undefined {
  const value = macroScore(eq);
  if (value === undefined) return undefined;
  const lower = (...raised: number[]): number | undefined =>
    macroScore(eq.map((level, at) => (raised.includes(at) ? level + 1 : level)));
  const [eq1, eq2, eq3, eq4, , eq6] = eq;
  const both = eq3 === 0 && eq6 === 0;
  const next36 = both ? Math.max(lower(5) ?? 0, lower(2) ?? 0) : eq3 === 1 && eq6 === 0 ? lower(5) : lower(2);
  const parts = [
    { next: lower(0), share: share('eq1', String(eq1), metric) },
    { next: lower(1), share: share('eq2', String(eq2), metric) },
    { next: next36, share: share('eq36', `${eq3}${eq6}`, metric) },
    { next: lower(3), share: share('eq4', String(eq4), metric) },
    { next: lower(4), share: 0 },
  ].filter((part) => part.next !== undefined);
  const total = parts.reduce((sum, part) => sum + (value - part.next!) * part.share, 0);
  const exact = value - (parts.length === 0 ? 0 : total / parts.length);
  // The small addition undoes what floating point takes from a value that ends in exactly 5, as FIRST's own calculator
  // does.
  return Math.round((Math.min(10, Math.max(0, exact)) + 1e-6) * 10) / 10;
}

/**
 * How far the vector is below the first of the level's highest vectors that is nowhere below it, as a share of the depth.
 */
function share(group: keyof typeof groups, level: string, metric: (name: string) => string): number {
  for (const top of highest[group][level] ?? []) {
    const steps = groups[group].map((name, at) => order[name]!.indexOf(metric(name)) - order[name]!.indexOf(top[at]!));
    if (steps.every((step) => step >= 0)) return steps.reduce((a, b) => a + b, 0) / (depth[group][level] ?? 1);
  }
  return 0;
}
