/** The records of all feeds, joined by CVE. Every file that was read has an outcome with a reason. */
import { gunzipSync } from 'node:zlib';
import {
  type Advisory,
  type Changelog,
  isCveId,
  joinAdvisories,
  parseChangelog,
  readDocument,
} from 'kpatch/advisories';
import { object, text } from 'kpatch/parts';
import type { StoredDocument } from '../store/documents.ts';
import type { FeedFile } from './feed.ts';

export type IntakeWord =
  | 'new'
  | 'changed'
  | 'duplicate'
  | 'contradictory'
  | 'malformed'
  | 'not about the kernel'
  | 'removed'
  | 'changelog';

/** What became of one file, or of one CVE in it. */
export interface IntakeOutcome {
  readonly feed: string;
  readonly file: string;
  readonly cve?: string;
  readonly word: IntakeWord;
  readonly reason: string;
}

type StoredIntake = StoredDocument<'intake'>;
type Entry = StoredIntake[number];

export class Intake {
  readonly #entries = new Map<string, Entry>();
  /** The entries that name a CVE. */
  readonly #byCve = new Map<string, Set<string>>();

  constructor(stored: StoredIntake = []) {
    for (const entry of stored) this.#put(entry);
  }

  /** For storing it. */
  plain(): StoredIntake {
    return [...this.#entries.values()];
  }

  /** Takes what is new in a feed. Total: a file that cannot be read is an outcome. */
  take(feed: string, files: readonly FeedFile[]): IntakeOutcome[] {
    return files.flatMap((file) => this.#takeFile(feed, file));
  }

  /** One record for each CVE, joined from all feeds. */
  advisories(): Map<string, Advisory> {
    const all = new Map<string, Advisory>();
    for (const cve of this.#byCve.keys()) {
      const parts = this.#parts(cve);
      if (parts.length > 0) all.set(cve, parts.reduce(joinAdvisories));
    }
    return all;
  }

  changelogs(): Changelog[] {
    return [...this.#entries.values()].flatMap(({ changelog }) => changelog ?? []);
  }

  #parts(cve: string): Advisory[] {
    const parts = [...(this.#byCve.get(cve) ?? [])].flatMap(
      (key) => this.#entries.get(key)?.advisories.filter(({ id }) => id === cve) ?? [],
    );
    // The same record in two feeds counts once.
    const seen = new Set<string>();
    return parts.filter((part) => {
      const content = contentOf(part);
      return !seen.has(content) && seen.add(content) !== undefined;
    });
  }

  #put(entry: Entry): void {
    const key = keyOf(entry.feed, entry.file);
    this.#forget(key);
    this.#entries.set(key, entry);
    for (const { id } of entry.advisories) {
      const keys = this.#byCve.get(id) ?? new Set();
      this.#byCve.set(id, keys.add(key));
    }
  }

  #forget(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    for (const { id } of entry?.advisories ?? []) {
      const keys = this.#byCve.get(id);
      keys?.delete(key);
      if (keys?.size === 0) this.#byCve.delete(id);
    }
    this.#entries.delete(key);
    return entry;
  }

  #takeFile(feed: string, { name: file, bytes }: FeedFile): IntakeOutcome[] {
    const said = (word: IntakeWord, reason: string, cve?: string): IntakeOutcome => ({
      feed,
      file,
      word,
      reason,
      ...(cve === undefined ? {} : { cve }),
    });
    if (bytes === undefined) {
      const gone = this.#forget(keyOf(feed, file));
      return (gone?.advisories ?? []).map(({ id }) => said('removed', 'the feed has no such file any more', id));
    }
    let entry: Entry;
    try {
      entry = entryOf(feed, file, bytes);
    } catch (error) {
      // What the file said before stays: a cut-off download must not make a CVE disappear.
      return [said('malformed', `${(error as Error).message}; what it said before stays`)];
    }
    if (entry.changelog !== undefined) {
      this.#put(entry);
      return [said('changelog', `${entry.changelog.entries.length} versions of ${entry.changelog.source}`)];
    }
    const before = new Set(this.#entries.get(keyOf(feed, file))?.advisories.map(({ id }) => id));
    const outcomes = entry.advisories.map((advisory) => {
      const [word, reason] = this.#wordFor(advisory, entry, before.has(advisory.id));
      return said(word, reason, advisory.id);
    });
    this.#put(entry);
    return outcomes.length === 0 ? [said('not about the kernel', 'it names no CVE of the Linux kernel')] : outcomes;
  }

  /** Two records of one format for one CVE should be the same. */
  #wordFor(advisory: Advisory, entry: Entry, known: boolean): [IntakeWord, string] {
    if (advisory.problems.length > 0) return ['contradictory', advisory.problems.join('; ')];
    const others = [...(this.#byCve.get(advisory.id) ?? [])]
      .map((key) => this.#entries.get(key)!)
      .filter(
        (other) => other.format === entry.format && keyOf(other.feed, other.file) !== keyOf(entry.feed, entry.file),
      );
    for (const other of others) {
      const same = other.advisories.some((one) => one.id === advisory.id && contentOf(one) === contentOf(advisory));
      const where = `${other.feed} ${other.file}`.trim();
      if (same) return ['duplicate', `the same record is in ${where}`];
      return [
        'contradictory',
        `another record of this CVE is in ${where}; a version that either calls affected counts as affected`,
      ];
    }
    return known ? ['changed', 'the record changed'] : ['new', 'the record is new'];
  }
}

function keyOf(feed: string, file: string): string {
  return `${feed}\n${file}`;
}

function contentOf({ sources: _, ...rest }: Advisory): string {
  return JSON.stringify(rest);
}

/** Errors: those of reading documents; an Error for what is not JSON. */
function entryOf(feed: string, file: string, bytes: Buffer): Entry {
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const content = (packed ? gunzipSync(bytes, { maxOutputLength: 256 << 20 }) : bytes).toString('utf8');
  if (!/^\s*[[{]/.test(content.slice(0, 4096))) {
    const changelog = parseChangelog(content, file);
    if (changelog === undefined) throw new Error('it is neither JSON nor a changelog');
    return { feed, file, format: 'changelog', advisories: [], changelog };
  }
  const document = JSON.parse(content) as unknown;
  const advisories = readDocument(document, file).filter((one) => isAboutKernel(one, document));
  const wrong = advisories.find(({ id }) => !isCveId(id));
  if (wrong !== undefined) throw new Error(`"${wrong.id.slice(0, 40)}" is not a CVE id`);
  return { feed, file, format: formatOf(document), advisories };
}

function formatOf(document: unknown): string {
  const plain = object(Array.isArray(document) ? document[0] : document);
  if (plain.dataType === 'CVE_RECORD') return 'cve';
  if ('catalogVersion' in plain) return 'kev';
  if ('document' in plain) return 'csaf';
  return 'linux' in plain ? 'tracker' : 'osv';
}

/** The list of all CVEs holds every program; a rejected record says what it was about only by who assigned it. */
function isAboutKernel(advisory: Advisory, document: unknown): boolean {
  const plain = object(document);
  if (plain.dataType !== 'CVE_RECORD') return true;
  if (advisory.applies.length > 0 || advisory.commits.length > 0) return true;
  return text(object(plain.cveMetadata).assignerShortName) === 'Linux';
}
