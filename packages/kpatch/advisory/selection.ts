/** The selection: which CVEs are worth a live patch. Everything else is fixed by the next reboot. */
import { failure } from '../base/errors/error.ts';
import { list, object, readJSON, text } from '../base/plain.ts';
import { type Advisory, isCveId, severityOf } from './record.ts';
import { compareLevels, type Level, levelOfWord } from './severity.ts';

export interface SubsystemRule {
  /** A path of the source tree (`drivers/gpu/`), or the beginning of a change's title (`wifi:`). */
  readonly match: string;
  readonly take: boolean;
  readonly reason: string;
}

/** Name and version of the file's form; `kpatch.policy/1` is its first name. */
export const selectionSchema = 'kpatch.selection/1';

export interface SelectionRules {
  /** The least severity that is taken. */
  readonly least: Level;
  /** What is done with CVEs that no source rates. */
  readonly unrated: 'take' | 'leave';
  readonly subsystems: readonly SubsystemRule[];
  readonly cves: ReadonlyMap<string, { take: boolean; reason: string }>;
}

/** Important and Critical, as the field's own services do. */
export const defaultSelection: SelectionRules = {
  least: 'important',
  unrated: 'leave',
  subsystems: [],
  cves: new Map(),
};

export interface Selection {
  readonly taken: boolean;
  readonly reason: string;
}

/** Reads a selection file (docs/channel.md). Errors: `file-unreadable`, `channel-not-json`, `advisory-selection`. */
export function readSelection(file: string): SelectionRules {
  return selectionOf(readJSON(file), file);
}

/** Checks a parsed selection; every name must be known, so that a typing error does not quietly select nothing. */
export function selectionOf(document: unknown, file: string): SelectionRules {
  const bad = (at: string, problem: string): Error =>
    failure('advisory-selection', { file, at, problem }, { where: { file } });
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw bad('top', 'it is not an object');
  const plain = object(document);
  known(plain, ['schema', 'least', 'unrated', 'subsystems', 'cves'], 'top', bad);
  const { schema } = plain;
  if (schema === 'kpatch.host-policy/1') {
    throw bad('schema', 'a host policy says what a machine accepts, not which CVEs are taken');
  }
  // The first name of this form; a host policy is something else since.
  if (![undefined, selectionSchema, 'kpatch.policy/1'].includes(schema as string | undefined))
    throw bad('schema', `only ${selectionSchema} is known`);
  const least = 'least' in plain ? levelOfWord(text(plain.least) ?? '') : defaultSelection.least;
  if (least === undefined) throw bad('least', 'it is none of low, moderate, important, critical');
  const unrated = plain.unrated ?? defaultSelection.unrated;
  if (unrated !== 'take' && unrated !== 'leave') throw bad('unrated', 'it is neither "take" nor "leave"');
  if ('subsystems' in plain && !Array.isArray(plain.subsystems)) throw bad('subsystems', 'it is not a list');
  const subsystems = list(plain.subsystems).map((item, n): SubsystemRule => {
    const at = `subsystems[${n}]`;
    const rule = object(item);
    known(rule, ['match', 'take', 'reason'], at, bad);
    const match = text(rule.match);
    if (match === undefined || match === '') throw bad(`${at}.match`, 'it needs a path or a title');
    return { match, ...decision(rule, at, bad) };
  });
  if ('cves' in plain && (typeof plain.cves !== 'object' || Array.isArray(plain.cves))) {
    throw bad('cves', 'it is not an object');
  }
  const cves = new Map<string, { take: boolean; reason: string }>();
  for (const [id, item] of Object.entries(object(plain.cves))) {
    if (!isCveId(id)) throw bad(`cves.${id}`, 'it is not a CVE id');
    known(object(item), ['take', 'reason'], `cves.${id}`, bad);
    cves.set(id, decision(object(item), `cves.${id}`, bad));
  }
  return { least, unrated, subsystems, cves };
}

type Bad = (at: string, problem: string) => Error;

function known(plain: object, names: readonly string[], at: string, bad: Bad): void {
  for (const name of Object.keys(plain)) {
    if (!names.includes(name)) throw bad(at, `"${name}" is not allowed there (${names.join(', ')})`);
  }
}

function decision(plain: Readonly<Record<string, unknown>>, at: string, bad: Bad): { take: boolean; reason: string } {
  const { take, reason } = plain;
  if (typeof take !== 'boolean') throw bad(`${at}.take`, 'it must be true or false');
  if (typeof reason !== 'string' || reason.trim() === '') throw bad(`${at}.reason`, 'every exception needs a reason');
  return { take, reason };
}

/** Whether the selection takes a CVE, and why: a rule for the CVE, known exploitation, a rule for its subsystem, then the severity. */
export function select(rules: SelectionRules, advisory: Advisory): Selection {
  const single = rules.cves.get(advisory.id);
  if (single !== undefined) return { taken: single.take, reason: `rule for this CVE: ${single.reason}` };
  if (advisory.rejected) return { taken: false, reason: 'the CVE was rejected or withdrawn by its source' };
  if (advisory.exploited !== undefined)
    return { taken: true, reason: `known to be exploited since ${advisory.exploited} (CISA KEV)` };
  for (const rule of rules.subsystems) {
    if (matches(rule.match, advisory)) return { taken: rule.take, reason: `rule for ${rule.match}: ${rule.reason}` };
  }
  const severity = severityOf(advisory);
  if (severity === undefined) {
    const taken = rules.unrated === 'take';
    return { taken, reason: taken ? 'no source rates it; the selection takes such' : 'no source rates its severity' };
  }
  const taken = compareLevels(severity.level, rules.least) >= 0;
  return {
    taken,
    reason: `${severity.level} (${severity.by})${taken ? '' : `, the selection asks for ${rules.least}`}`,
  };
}

function matches(match: string, advisory: Advisory): boolean {
  return advisory.files.some((file) => file.startsWith(match)) || (advisory.title?.startsWith(match) ?? false);
}
