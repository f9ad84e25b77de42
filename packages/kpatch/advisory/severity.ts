/**
 * Severity words. The channel speaks with Red Hat's four levels, since those are what the field's live patches are selected
 * by; CVSS scores and other vendors' words are mapped onto them.
 */
import { cvss3Score } from './formats/cvss3.ts';
import { cvss4Score } from './formats/cvss4.ts';

/** From least to most severe. `none` is a score of 0. */
export const levels = ['none', 'low', 'moderate', 'important', 'critical'] as const;
export type Level = (typeof levels)[number];

/** A rating: the level, and where it came from in words (`CVSS 3.1 7.8 by Linux`, `Red Hat: Important`). */
export interface Severity {
  readonly level: Level;
  readonly by: string;
  readonly score?: number;
  readonly vector?: string;
}

/** Negative where `a` is less severe than `b`. */
export function compareLevels(a: Level, b: Level): number {
  return levels.indexOf(a) - levels.indexOf(b);
}

/**
 * Words of vendors and of CVSS (in any case) and the level each stands for: CVSS (none, low, medium, high, critical), Red
 * Hat and SUSE (low, moderate, important, critical), Ubuntu (negligible, low, medium, high, critical), the Debian security
 * tracker (unimportant, low, medium, high, with or without stars for "not yet checked").
 */
const words: Readonly<Record<string, Level>> = {
  none: 'none',
  negligible: 'low',
  unimportant: 'low',
  low: 'low',
  minor: 'low',
  medium: 'moderate',
  moderate: 'moderate',
  high: 'important',
  important: 'important',
  major: 'important',
  critical: 'critical',
  urgent: 'critical',
};

/** The level a vendor's or CVSS' word stands for; `undefined` for a word that is not one. */
export function levelOfWord(word: string): Level | undefined {
  const key = word.trim().toLowerCase().replace(/\*+$/, '');
  return Object.hasOwn(words, key) ? words[key] : undefined;
}

/** The qualitative rating of a CVSS score, 0 to 10 (CVSS 3.1 section 5, CVSS 4.0 section 6: the same bounds). */
export function levelOfScore(score: number): Level {
  if (score <= 0) return 'none';
  if (score < 4) return 'low';
  if (score < 7) return 'moderate';
  if (score < 9) return 'important';
  return 'critical';
}

/** The rating that a CVSS vector string gives, version 3.0, 3.1 or 4.0; `undefined` where it is not one of these. */
export function severityOfVector(vector: string, by: string): Severity | undefined {
  const version = /^CVSS:(3\.[01]|4\.0)\//.exec(vector)?.[1];
  if (version === undefined) return undefined;
  const score = version === '4.0' ? cvss4Score(vector) : cvss3Score(vector);
  if (score === undefined) return undefined;
  return { level: levelOfScore(score), by: `CVSS ${version} ${score.toFixed(1)} by ${by}`, score, vector };
}
