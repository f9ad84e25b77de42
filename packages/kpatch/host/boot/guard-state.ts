/** What the boot guard remembers between boots (`.boot.json`, `kpatch.boot/1`). */

/** A patch as the guard knows it: the same name with other content is another patch. */
export interface GuardedPatch {
  readonly name: string;
  readonly sha256: string;
}

export interface BlockedPatch extends GuardedPatch {
  /** When the boot began that was lost, ISO 8601. */
  readonly at: string;
  /** What was observed, as a clause; absent in what an older version wrote. */
  readonly why?: string;
  /** When it is tried again; absent: when the user says so. */
  readonly until?: string;
  /** How often it was blocked without evidence. */
  readonly times?: number;
}

/** A boot whose trial nothing ended: no timer, no orderly shutdown, no person at work. */
export interface LostBoot {
  readonly bootId: string;
  /** When it began, ISO 8601. */
  readonly at: string;
  /** When the next boot noticed, ISO 8601. */
  readonly noticed: string;
  readonly patches: readonly GuardedPatch[];
  /** The crash record of that boot; absent if none was found. */
  readonly record?: string;
  /** Those of its patches that a stack trace in the record names. */
  readonly named: readonly string[];
}

export interface Guard {
  readonly schema: 'kpatch.boot/1';
  /** The boot that is on trial; absent once it has survived. */
  readonly trying?: { readonly bootId: string; readonly at: string; readonly patches: readonly GuardedPatch[] };
  readonly blocked: readonly BlockedPatch[];
  /** The patches of the last boot that this machine survived. */
  readonly survived?: readonly GuardedPatch[];
  /** Lost boots of the last day since one was survived. */
  readonly lost?: readonly LostBoot[];
}

/** True if a parsed file has this form. */
export function isGuard(value: unknown): value is Guard {
  if (!isRecord(value) || value.schema !== 'kpatch.boot/1') return false;
  const { trying, blocked, survived = [], lost = [] } = value;
  return (
    isListOf(blocked, isBlockedPatch) &&
    isListOf(survived, isPatch) &&
    isListOf(lost, isLost) &&
    (trying === undefined || isTrial(trying))
  );
}

type Plain = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Plain => typeof value === 'object' && value !== null;
const isText = (value: unknown): boolean => typeof value === 'string';
const optionally = (value: unknown, test: (value: unknown) => boolean): boolean => value === undefined || test(value);
const isTime = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value));

function isListOf(value: unknown, test: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(test);
}

function isPatch(value: unknown): boolean {
  return isRecord(value) && isText(value.name) && isText(value.sha256);
}

function isBlockedPatch(value: unknown): boolean {
  return (
    isRecord(value) &&
    isPatch(value) &&
    optionally(value.why, isText) &&
    optionally(value.until, isTime) &&
    optionally(value.times, (times) => Number.isSafeInteger(times))
  );
}

function isTrial(value: unknown): boolean {
  return isRecord(value) && isText(value.bootId) && isText(value.at) && isListOf(value.patches, isPatch);
}

function isLost(value: unknown): boolean {
  return (
    isRecord(value) &&
    isTrial(value) &&
    isTime(value.noticed) &&
    isListOf(value.named, isText) &&
    optionally(value.record, isText)
  );
}
