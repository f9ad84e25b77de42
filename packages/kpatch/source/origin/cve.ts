/** The commits that fix a CVE, as the kernel's CNA publishes them (https://docs.kernel.org/process/cve.html). */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { list, object, type Plain, parseJSON, text } from '../../base/plain.ts';
import { download } from './download.ts';
import { isAddress, type OriginSettings } from './settings.ts';

export function isCve(name: string): boolean {
  return /^CVE-\d{4}-\d{4,}$/.test(name);
}

/** A commit that fixes a CVE. */
export interface Fix {
  readonly commit: string;
  /** The stable series that has it, `6.1`; `mainline` for the original commit. */
  readonly series: string;
}

/** The record of a CVE. Errors: `cve-unknown`, `patch-unreachable`, `channel-not-json`. */
export async function cveRecord(id: string, settings: OriginSettings): Promise<Plain> {
  const { cves, file } = settings;
  if (isAddress(cves)) {
    const address = cves.replaceAll('{id}', id);
    return object(parseJSON(await download(address, file), address));
  }
  const year = id.split('-')[1]!;
  const places = [`${id}.json`, join('published', year, `${id}.json`), join('cve', 'published', year, `${id}.json`)];
  const found = places.map((place) => join(cves, place)).find((path) => existsSync(path));
  if (found === undefined) throw failure('cve-unknown', { id, where: cves, settings: file });
  return object(parseJSON(readFileSync(found), found));
}

/**
 * The fixes that a record lists, each with its series. The kernel's CNA writes two parallel lists: ranges of commits, of
 * which `lessThan` is the fix, and the versions from which on a series is not affected.
 */
export function fixesOf(record: Plain): Fix[] {
  const products = list(object(object(record.containers).cna).affected).map(object);
  const versions = products.flatMap(({ versions: all }) => list(all).map(object));
  const commits = versions
    .filter(({ versionType, status }) => versionType === 'git' && status === 'affected')
    .flatMap(({ lessThan }) => text(lessThan) ?? [])
    .filter((hash) => /^[0-9a-f]{40}$/.test(hash));
  const series = versions
    .filter(({ versionType, status, version }) => versionType !== 'git' && status === 'unaffected' && version !== '0')
    .map(({ lessThanOrEqual }) => /^(\d+\.\d+)\.\*$/.exec(text(lessThanOrEqual) ?? '')?.[1] ?? 'mainline');
  const unique = [...new Set(commits)];
  // Without the second list, or with another order, only the last is certain: the records end with mainline.
  const paired = series.length === unique.length;
  return unique.map((commit, i) => ({
    commit,
    series: paired ? series[i]! : i === unique.length - 1 ? 'mainline' : 'unknown',
  }));
}

/** The fix for a kernel release: that of its own series, else the original one. Error: `cve-no-fix`. */
export function fixFor(id: string, record: Plain, release: string): Fix {
  const fixes = fixesOf(record);
  const series = /^\d+\.\d+/.exec(release)?.[0];
  const found = fixes.find((fix) => fix.series === series) ?? fixes.find((fix) => fix.series === 'mainline');
  if (found === undefined) throw failure('cve-no-fix', { id });
  return found;
}
