/** The JSON file of Debian's security tracker: for each source package and CVE, the state in every release. */
import { object, type Plain, text } from '../../base/plain.ts';
import { type Advisory, type Applicability, emptyAdvisory, isCveId } from '../record.ts';
import { levelOfWord } from '../severity.ts';

/** True for the tracker's whole file and for a part of it that keeps `linux`. */
export function isTracker(document: Plain): boolean {
  const entries = Object.entries(object(document.linux));
  return entries.length > 0 && entries.every(([, entry]) => 'releases' in object(entry));
}

/** One record a CVE of the package `linux`. Names of releases are code names. */
export function readTracker(document: Plain, file: string): Advisory[] {
  return Object.entries(object(document.linux)).flatMap(([id, value]) => {
    // The tracker gives temporary names to what has no CVE id yet.
    if (!isCveId(id)) return [];
    const entry = object(value);
    const releases = Object.entries(object(entry.releases));
    const title = text(entry.description)?.split('\n')[0]?.trim();
    const levels = releases.flatMap(([, release]) => levelOfWord(text(object(release).urgency) ?? '') ?? []);
    const [level] = levels;
    return [
      {
        ...emptyAdvisory(id, [file]),
        ...(title === undefined || title === '' ? {} : { title }),
        severities: level === undefined ? [] : [{ level, by: `security tracker: ${level}` }],
        applies: releases.flatMap(([name, release]) => applicability(name, object(release))),
      },
    ];
  });
}

/** `resolved` names the version that fixed it, or 0 if no version of that release ever had the flaw. */
function applicability(distribution: string, release: Plain): Applicability[] {
  const base = { scheme: 'deb', by: 'the security tracker', distribution, package: 'linux' } as const;
  const fixed = text(release.fixed_version);
  if (release.status === 'resolved' && fixed === '0') return [{ ...base, otherwise: 'unaffected', rules: [] }];
  if (release.status === 'resolved' && fixed !== undefined)
    return [{ ...base, otherwise: 'unaffected', rules: [{ from: '0', below: fixed, status: 'affected' }] }];
  if (release.status === 'open') return [{ ...base, otherwise: 'affected', rules: [] }];
  return [{ ...base, otherwise: 'unknown', rules: [] }];
}
