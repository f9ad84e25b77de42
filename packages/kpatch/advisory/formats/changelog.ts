/** Kernel changelogs of distributions: which CVEs each version of the package fixed. */
import { gunzipSync } from 'node:zlib';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { cveId } from '../record.ts';
import { compareBy, type Scheme } from '../version.ts';

export interface ChangelogFix {
  readonly cve: string;
  /** The line it is in, without the number: `io_uring/poll: don't lose a cancel`. */
  readonly title: string;
}

export interface ChangelogEntry {
  readonly version: string;
  readonly distribution: string;
  /** Of the upload, ISO 8601 UTC; `undefined` where the trailer cannot be read. */
  readonly date?: string | undefined;
  readonly fixes: readonly ChangelogFix[];
}

export interface Changelog {
  readonly file: string;
  readonly source: string;
  readonly scheme: Scheme;
  /** Newest first, as in the file. */
  readonly entries: readonly ChangelogEntry[];
}

/** A changelog larger than this is none (Debian's is under 4 MB). */
const MAX_BYTES = 256 * 1024 * 1024;

/** Reads a changelog file, plain or gzip. Errors: `file-unreadable`, `channel-not-changelog`. */
export function readChangelog(file: string): Changelog {
  const bytes = readBytes(file);
  const problem = (why: string): Error => failure('channel-not-changelog', { file, problem: why }, { where: { file } });
  let plain: Buffer = bytes;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      plain = gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
    } catch (cause) {
      throw problem(`cannot decompress it (${(cause as Error).message})`);
    }
  }
  const changelog = parseChangelog(plain.toString('utf8'), file);
  if (changelog === undefined)
    throw problem('it has no line such as `linux (6.1.190-1) bookworm-security; urgency=high`');
  return changelog;
}

/** The Debian form (deb-changelog(5)) or rpm's (`rpm -q --changelog kernel`); `undefined` where it is neither. */
export function parseChangelog(content: string, file: string): Changelog | undefined {
  const start = /^(?:\S+ \([^)\s]+\) [^;\n]*;|\* \w{3} \w{3} +\d+ \d{4} .*)/m.exec(content.slice(0, 65536))?.[0];
  if (start === undefined) return undefined;
  return start.startsWith('* ') ? parseRpm(content, file) : parseDebian(content, file);
}

function parseDebian(content: string, file: string): Changelog {
  const entries: ChangelogEntry[] = [];
  let source = '';
  let open: { version: string; distribution: string; fixes: Map<string, string> } | undefined;
  let bullet = '';
  const endBullet = (): void => {
    if (open !== undefined && bullet.includes('CVE-')) collect(bullet, open.fixes);
    bullet = '';
  };
  for (const line of content.split('\n')) {
    if (line.startsWith(' -- ')) {
      endBullet();
      if (open !== undefined) entries.push({ ...open, date: dateOf(line), fixes: listed(open.fixes) });
      open = undefined;
    } else if (line !== '' && line[0] !== ' ') {
      const [, name, version, distribution = ''] = /^(\S+) \(([^)\s]+)\) ([^;]*);/.exec(line) ?? [];
      if (name === undefined || version === undefined) continue;
      source ||= name;
      // The signed packages' versions differ from those of `linux` by one sign: 6.1.192+1 is made from 6.1.192-1.
      open = { version: /-signed/.test(name) ? version.replace('+', '-') : version, distribution, fixes: new Map() };
    } else {
      const trimmed = line.trimStart();
      if (/^[-*+] /.test(trimmed)) {
        endBullet();
        bullet = trimmed.slice(2);
      } else if (trimmed !== '') bullet += ` ${trimmed}`;
      else endBullet();
    }
  }
  return { file, source, scheme: 'deb', entries };
}

function parseRpm(content: string, file: string): Changelog {
  const entries: ChangelogEntry[] = [];
  let fixes = new Map<string, string>();
  let open: { version: string; date: string | undefined } | undefined;
  const end = (): void => {
    if (open !== undefined) entries.push({ ...open, distribution: '', fixes: listed(fixes) });
    fixes = new Map();
  };
  for (const line of content.split('\n')) {
    const [, day, rest = ''] = /^\* (\w{3} \w{3} +\d+ \d{4}) (.*)$/.exec(line) ?? [];
    if (day !== undefined) {
      end();
      const version = /\[([\w.~^+-]+)\]\s*$/.exec(rest)?.[1] ?? /> ?-? ?([\w.~^+-]+)\s*$/.exec(rest)?.[1] ?? '';
      open = { version, date: isoOf(`${day} UTC`) };
    } else if (line.includes('CVE-')) collect(line.replace(/^- /, ''), fixes);
  }
  end();
  return { file, source: 'kernel', scheme: 'rpm', entries };
}

function collect(bullet: string, fixes: Map<string, string>): void {
  // A bracket that held nothing but ids goes with them; one that was empty before, as in `f()`, stays.
  const title = bullet
    .replace(cveId, '\0')
    .replace(/[([{][\s,\0]+[)\]}]/g, (bracket) => (bracket.includes('\0') ? '' : bracket))
    .replace(/[\s\0]+/g, ' ')
    .trim();
  for (const cve of bullet.match(cveId) ?? []) if (!fixes.has(cve)) fixes.set(cve, title);
}

function listed(fixes: ReadonlyMap<string, string>): ChangelogFix[] {
  return [...fixes].map(([cve, title]) => ({ cve, title }));
}

function dateOf(trailer: string): string | undefined {
  return isoOf(trailer.slice(trailer.lastIndexOf('  ') + 2));
}

function isoOf(date: string): string | undefined {
  const time = Date.parse(date);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

export interface FixedIn {
  readonly cve: string;
  readonly title: string;
  /** The newest version in the range whose entry names it. */
  readonly version: string;
  /** An entry at or before the old version names it too: this is a further part of its fix. */
  readonly again: boolean;
}

/** What the versions after `from` and up to `to` fixed, newest first. */
export function fixedBetween(changelog: Changelog, from: string, to: string): FixedIn[] {
  const compare = compareBy(changelog.scheme);
  const found = new Map<string, FixedIn>();
  const before = new Set<string>();
  for (const entry of changelog.entries) {
    if (compare(entry.version, from) <= 0) for (const { cve } of entry.fixes) before.add(cve);
    else if (compare(entry.version, to) <= 0) {
      for (const { cve, title } of entry.fixes) {
        if (!found.has(cve)) found.set(cve, { cve, title, version: entry.version, again: false });
      }
    }
  }
  return [...found.values()].map((fix) => (before.has(fix.cve) ? { ...fix, again: true } : fix));
}
