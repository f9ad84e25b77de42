/** What the readers make of every format: one record a CVE, with where it applies as plain rules. */
import { compareLevels, type Severity } from './severity.ts';
import { compareBy, type Scheme } from './version.ts';

export type Status = 'affected' | 'unaffected' | 'unknown';

/** Versions from `from` (included) to before `below`, or up to and with `through` (`6.1.*`: all of 6.1; `*`: no end). */
export interface VersionRule {
  readonly from: string;
  readonly below?: string;
  readonly through?: string;
  readonly status: Status;
}

/** Where a CVE applies: a package of a distribution, or the upstream kernel. */
export interface Applicability {
  readonly scheme: Scheme;
  /** The distribution as the source names it: `Debian:12`, or the code name of a release. */
  readonly distribution?: string;
  /** Who says so, as evidence names it. */
  readonly by?: string;
  readonly package?: string;
  /** What holds for versions that no rule names. */
  readonly otherwise: Status;
  readonly rules: readonly VersionRule[];
}

/** One branch of the upstream kernel: the commit that brought the flaw, and the one that fixed it where there is one. */
export interface CommitRange {
  readonly introduced?: string;
  readonly fixed?: string;
}

export interface Advisory {
  readonly id: string;
  readonly title?: string;
  /** Ratings of all sources, the one that counts first: vendor before CNA before others. */
  readonly severities: readonly Severity[];
  /** Source files of the kernel that the fix changes, where the source says so. */
  readonly files: readonly string[];
  readonly applies: readonly Applicability[];
  readonly rejected: boolean;
  /** When the record was published, ISO 8601. */
  readonly published?: string;
  readonly commits: readonly CommitRange[];
  /** Since when it is known to be exploited (CISA KEV), as the source gives the day. */
  readonly exploited?: string;
  /** What is wrong in the records themselves; versions that such a record calls unaffected are not trusted. */
  readonly problems: readonly string[];
  /** Files that it was read from. */
  readonly sources: readonly string[];
}

/** A record that says nothing yet. */
export function emptyAdvisory(id: string, sources: readonly string[]): Advisory {
  return { id, severities: [], files: [], applies: [], commits: [], problems: [], rejected: false, sources };
}

/** What a CVE id looks like (CVE JSON schema: at least four digits). */
export const cveId = /\bCVE-\d{4}-\d{4,19}\b/g;

/** True for exactly one CVE id. */
export function isCveId(value: string): boolean {
  return /^CVE-\d{4}-\d{4,19}$/.test(value);
}

/** The rating that counts: the first source's that rates at all. */
export function severityOf(advisory: Advisory): Severity | undefined {
  return advisory.severities[0];
}

/** Joins two records of one CVE: ratings of vendors come first, among equals the more severe. */
export function join(a: Advisory, b: Advisory): Advisory {
  const title = a.title ?? b.title;
  const published = a.published ?? b.published;
  const exploited = a.exploited ?? b.exploited;
  return {
    id: a.id,
    ...(title === undefined ? {} : { title }),
    ...(published === undefined ? {} : { published }),
    ...(exploited === undefined ? {} : { exploited }),
    severities: [...a.severities, ...b.severities].sort((x, y) => rank(x) - rank(y) || compareLevels(y.level, x.level)),
    files: [...new Set([...a.files, ...b.files])],
    applies: [...a.applies, ...b.applies],
    commits: [...a.commits, ...b.commits],
    problems: [...a.problems, ...b.problems],
    rejected: a.rejected || b.rejected,
    sources: [...a.sources, ...b.sources],
  };
}

/** Vendors rate for their own builds, so their word counts before a general score. */
function rank(severity: Severity): number {
  return severity.score === undefined ? 0 : 1;
}

/** What holds for one version: the last rule that names it, else what the source says of all others. */
export function statusAt(applies: Applicability, version: string): Status {
  return ruleAt(applies, version).status;
}

/** The same with the rule that decides; without one if it is what holds for all other versions. */
export function ruleAt(applies: Applicability, version: string): { status: Status; rule?: VersionRule } {
  const compare = compareBy(applies.scheme);
  let found: VersionRule | undefined;
  for (const rule of applies.rules) if (matches(rule, version, compare)) found = rule;
  return found === undefined ? { status: applies.otherwise } : { status: found.status, rule: found };
}

function matches(rule: VersionRule, version: string, compare: (a: string, b: string) => number): boolean {
  if (rule.below === undefined && rule.through === undefined) return compare(version, rule.from) === 0;
  if (rule.from !== '0' && compare(version, rule.from) < 0) return false;
  if (rule.below !== undefined) return compare(version, rule.below) < 0;
  const through = rule.through!;
  if (through === '*') return true;
  if (!through.endsWith('.*')) return compare(version, through) <= 0;
  const prefix = through.slice(0, -2);
  return compare(version, prefix) < 0 || version === prefix || version.startsWith(`${prefix}.`);
}
