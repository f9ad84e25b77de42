/** The selection: which CVEs are worth a live patch. Everything else is fixed by the next reboot. */
import { failure } from '../base/errors/error.ts';
import { object, readJSON } from '../base/plain.ts';
import { type DocumentOf, formProblem } from '../documents/form.ts';
import { type Advisory, isCveId, severityOf } from './record.ts';
import { compareLevels, type Level, levelOfWord } from './severity.ts';

export interface SubsystemRule {
  /** A path of the source tree (`drivers/gpu/`), or the beginning of a change's title (`wifi:`). */
  readonly match: string;
  readonly take: boolean;
  readonly reason: string;
}

/** Name and version of the file's form. */
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

/** The first name of this form. */
const FIRST_NAME = 'kpatch.policy/1';

/**
 * Checks a parsed selection. Every name must be known, so that a typing error does not quietly select nothing.
 * Error: `advisory-selection`.
 */
export function selectionOf(document: unknown, file: string): SelectionRules {
  const bad = (at: string, problem: string): Error =>
    failure('advisory-selection', { file, at, problem }, { where: { file } });
  const plain = object(document);
  if (plain.schema === 'kpatch.host-policy/1') {
    throw bad('schema', 'a host policy says what a machine accepts, not which CVEs are taken');
  }
  const named =
    plain === document ? { ...plain, schema: plain.schema === FIRST_NAME ? selectionSchema : plain.schema } : document;
  const problem = formProblem(selectionSchema, named);
  if (problem !== undefined) {
    const [, at = 'top', text = problem] = /^(\S+): (.*)$/s.exec(problem) ?? [];
    throw bad(at, text);
  }
  const { least, unrated, subsystems, cves } = named as DocumentOf<typeof selectionSchema>;
  const level = least === undefined ? defaultSelection.least : levelOfWord(least);
  if (level === undefined) throw bad('least', 'must be low, moderate, important or critical');
  for (const id of Object.keys(cves ?? {})) if (!isCveId(id)) throw bad(`cves.${id}`, 'is not a CVE id');
  return {
    least: level,
    unrated: unrated ?? defaultSelection.unrated,
    subsystems: subsystems ?? [],
    cves: new Map(Object.entries(cves ?? {})),
  };
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
