/** OSV records (ossf/osv-schema 1.x): Debian's, Ubuntu's, AlmaLinux', the kernel's own. */
import { list, object, type Plain, text, texts } from '../../base/plain.ts';
import { packageTypeOfEcosystem } from '../../distro/names.ts';
import { type Advisory, type Applicability, type CommitRange, cveId, type VersionRule } from '../record.ts';
import { levelOfWord, type Severity, severityOfVector } from '../severity.ts';
import type { Scheme } from '../version.ts';

/** True if the document has what OSV requires of every record. */
export function isOsv(document: Plain): boolean {
  return text(document.id) !== undefined && text(document.modified) !== undefined && !('document' in document);
}

/** One record for each CVE that the OSV record is about (its id, aliases or upstream). */
export function readOsv(document: Plain, file: string): Advisory[] {
  const names = [text(document.id) ?? '', ...texts(document.aliases), ...texts(document.upstream)];
  const cves = new Set(names.flatMap((name) => name.match(cveId) ?? []));
  const affected = list(document.affected).map(object);
  const title = text(document.summary) ?? text(document.details)?.split('\n')[0];
  const by = text(document.id) ?? 'OSV';
  const common = {
    ...(title === undefined ? {} : { title }),
    severities: [...ratings(document, by), ...affected.flatMap((product) => ratings(product, by))],
    files: [],
    commits: affected.flatMap(commitRanges),
    problems: [],
    applies: affected.flatMap(applicability).map((applies) => ({ ...applies, by })),
    rejected: text(document.withdrawn) !== undefined,
    sources: [file],
  };
  return [...cves].map((id) => ({ id, ...common }));
}

function ratings(holder: Plain, by: string): Severity[] {
  const vectors = list(holder.severity).map((entry) => text(object(entry).score) ?? '');
  const computed = vectors.flatMap((vector) => severityOfVector(vector, by) ?? []);
  const specific = [object(holder.database_specific), object(holder.ecosystem_specific)];
  const word = specific.map((part) => text(part.severity) ?? text(part.urgency)).find((name) => name !== undefined);
  const level = levelOfWord(word ?? '');
  return [...(level === undefined ? [] : [{ level, by: `${by}: ${word}` }]), ...computed];
}

function applicability(product: Plain): Applicability[] {
  const about = object(product.package);
  const distribution = text(about.ecosystem) ?? '';
  const name = text(about.name) ?? '';
  const scheme: Scheme | undefined = /^Linux\b/.test(distribution) ? 'upstream' : packageTypeOfEcosystem(distribution);
  if (scheme === undefined || !/^(linux|kernel)/i.test(name)) return [];
  const rules = list(product.ranges)
    .map(object)
    .filter((range) => range.type !== 'GIT')
    .flatMap((range) => events(list(range.events).map(object)));
  return rules.length === 0 ? [] : [{ scheme, distribution, package: name, otherwise: 'unaffected', rules }];
}

/** The ranges of commits of the upstream kernel. */
function commitRanges(product: Plain): CommitRange[] {
  return list(product.ranges)
    .map(object)
    .filter((range) => range.type === 'GIT' && /\blinux(?:\.git)?\/?$/.test(text(range.repo) ?? ''))
    .flatMap((range) => {
      const events = list(range.events).map(object);
      const introduced = events.map((event) => text(event.introduced)).find((commit) => commit !== undefined);
      const ends = events.flatMap((event) => text(event.fixed) ?? []);
      return ends.map((fixed) => ({ ...(introduced === undefined ? {} : { introduced }), fixed }));
    });
}

/** Events in order: each `introduced` opens a range that the next `fixed` or `last_affected` ends. */
function events(all: readonly Plain[]): VersionRule[] {
  const rules: VersionRule[] = [];
  let from: string | undefined;
  for (const event of all) {
    const [fixed, last] = [text(event.fixed), text(event.last_affected)];
    from = text(event.introduced) ?? from;
    if (from === undefined || (fixed === undefined && last === undefined)) continue;
    rules.push({ from, status: 'affected', ...(fixed === undefined ? { through: last! } : { below: fixed }) });
    from = undefined;
  }
  if (from !== undefined) rules.push({ from, through: '*', status: 'affected' });
  return rules;
}
