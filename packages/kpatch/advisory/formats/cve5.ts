/** CVE JSON 5 records, as the CVE programme and the kernel's own CNA (vulns.git) publish them. */
import { list, number, object, type Plain, text, texts } from '../../base/plain.ts';
import type { Advisory, Applicability, CommitRange, Status, VersionRule } from '../record.ts';
import { levelOfScore, levelOfWord, type Severity, severityOfVector } from '../severity.ts';
import { compareUpstream } from '../version.ts';

/** True if the document says that it is a CVE record of version 5. */
export function isCve5(document: Plain): boolean {
  return document.dataType === 'CVE_RECORD' && String(document.dataVersion ?? '').startsWith('5');
}

/** The record of a CVE JSON 5 document; what is missing or of another type is left out. */
export function readCve5(document: Plain, file: string): Advisory[] {
  const metadata = object(document.cveMetadata);
  const id = text(metadata.cveId);
  if (id === undefined) return [];
  const containers = object(document.containers);
  const cna = object(containers.cna);
  const all = [cna, ...list(containers.adp).map(object)];
  const title = text(cna.title) ?? firstLine(text(object(list(cna.descriptions)[0]).value));
  const published = text(metadata.datePublished);
  const products = list(cna.affected).map(object).filter(isLinux);
  const commits = products.flatMap(commitRanges);
  return [
    {
      id,
      ...(title === undefined ? {} : { title }),
      severities: all.flatMap(severities),
      files: [...new Set(list(cna.affected).flatMap((product) => texts(object(product).programFiles)))],
      applies: products.flatMap(applicability),
      commits,
      ...(published === undefined ? {} : { published }),
      problems: [...stateProblems(metadata.state), ...products.flatMap(rangeProblems), ...commitProblems(commits)],
      rejected: metadata.state === 'REJECTED',
      sources: [file],
    },
  ];
}

function firstLine(value: string | undefined): string | undefined {
  const lines = value?.split('\n').filter((line) => line.trim() !== '');
  // The kernel's CNA begins every description with the same sentence.
  return lines?.find((line) => !line.startsWith('In the Linux kernel, the following'))?.trim();
}

const metricNames = ['cvssV4_0', 'cvssV3_1', 'cvssV3_0'] as const;

function severities(container: Plain): Severity[] {
  const by = text(object(container.providerMetadata).shortName) ?? 'an unnamed source';
  return list(container.metrics).flatMap((metric) => {
    for (const name of metricNames) {
      const cvss = object(object(metric)[name]);
      const vector = text(cvss.vectorString) ?? '';
      const rating = severityOfVector(vector, by) ?? scored(number(cvss.baseScore), by);
      if (rating !== undefined) return [rating];
    }
    const other = object(object(metric).other);
    const word = levelOfWord(text(object(other.content).text) ?? text(object(other.content).value) ?? '');
    return word === undefined ? [] : [{ level: word, by }];
  });
}

function scored(score: number | undefined, by: string): Severity | undefined {
  if (score === undefined || score < 0 || score > 10) return undefined;
  return { level: levelOfScore(score), by: `CVSS ${score.toFixed(1)} by ${by}`, score };
}

function isLinux(product: Plain): boolean {
  return text(product.product)?.toLowerCase() === 'linux' || text(product.product) === 'Linux Kernel';
}

/** The ranges of commits: from the commit that brought the flaw to the one that fixed it, if there is one. */
function commitRanges(product: Plain): CommitRange[] {
  return list(product.versions)
    .map(object)
    .filter((version) => version.versionType === 'git' && version.status === 'affected')
    .map((version) => {
      const [introduced, fixed] = [text(version.version), text(version.lessThan)];
      return { ...(introduced === undefined ? {} : { introduced }), ...(fixed === undefined ? {} : { fixed }) };
    });
}

function stateProblems(state: unknown): string[] {
  const known = state === 'PUBLISHED' || state === 'REJECTED' || state === undefined;
  return known ? [] : ['the state of the record is neither PUBLISHED nor REJECTED'];
}

function commitProblems(commits: readonly CommitRange[]): string[] {
  const id = /^[0-9a-f]{12,40}$/;
  return commits.flatMap(({ introduced = '', fixed }) => {
    if (introduced !== '0' && !id.test(introduced)) return [`"${introduced.slice(0, 60)}" is not the id of a commit`];
    if (fixed === undefined) return [];
    if (!id.test(fixed)) return [`"${fixed.slice(0, 60)}" is not the id of a commit`];
    return fixed === introduced ? [`commit ${fixed.slice(0, 12)} both brings and fixes the flaw`] : [];
  });
}

/** Ranges that end before they begin, and one version with two different states. */
function rangeProblems(product: Plain): string[] {
  const problems: string[] = [];
  const single = new Map<string, Status>();
  for (const { from, below, through, status: state } of ruleList(product)) {
    const end = below ?? (through === undefined || through === '*' || through.endsWith('.*') ? undefined : through);
    if (end !== undefined && from !== '0' && compareUpstream(end, from) < (below === undefined ? 0 : 1))
      problems.push(`the range from ${from} to ${end} ends before it begins`);
    if (below !== undefined || through !== undefined) continue;
    if (single.has(from) && single.get(from) !== state) problems.push(`version ${from} has two different states`);
    single.set(from, state);
  }
  return problems;
}

function ruleList(product: Plain): VersionRule[] {
  return list(product.versions)
    .map(object)
    .filter((version) => version.versionType !== 'git')
    .flatMap(rule);
}

/** Ranges of commits say nothing about a package's version, so only ranges of versions are kept. */
function applicability(product: Plain): Applicability[] {
  const rules = ruleList(product);
  if (rules.length === 0) return [];
  return [{ scheme: 'upstream', by: 'the CVE record', otherwise: status(product.defaultStatus), rules }];
}

function rule(version: Plain): VersionRule[] {
  const from = text(version.version);
  if (from === undefined) return [];
  const below = text(version.lessThan);
  const through = text(version.lessThanOrEqual);
  return [
    {
      from,
      status: status(version.status),
      ...(below === undefined ? {} : { below }),
      ...(through === undefined || below !== undefined ? {} : { through }),
    },
  ];
}

function status(value: unknown): Status {
  return value === 'affected' || value === 'unaffected' ? value : 'unknown';
}
