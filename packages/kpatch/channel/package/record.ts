/** The record that is included inside each live patch package, as `/usr/lib/kpatch/RELEASE/advisory.json`. */

import { type Advisory, isCveId, severityOf } from '../../advisory/record.ts';
import type { Level } from '../../advisory/severity.ts';
import { fail } from '../../base/errors/error.ts';
import { number, object, type Plain, text } from '../../base/plain.ts';
import { isRelease, type PatchModule } from '../patch-module.ts';

export const recordSchema = 'kpatch.livepatch/1';

export interface FixedCve {
  readonly id: string;
  readonly title: string;
  readonly severity: Level | 'unrated';
}

export interface LivePatchRecord {
  readonly schema: typeof recordSchema;
  /** The kernel that it is for, as `uname -r`. */
  readonly kernel: string;
  readonly arch: string;
  /** 0-0 is the subscription: the kernel has no patch yet. */
  readonly version: number;
  readonly release: number;
  readonly module: {
    readonly name: string;
    readonly sha256: string;
    readonly signed: boolean;
    readonly buildId: string;
  } | null;
  /** SHA-256 of the proof file, where one is included with it. */
  readonly proof: string | null;
  readonly cves: readonly FixedCve[];
  /** CVEs that a predecessor fixed and this one does not, each with the reason. */
  readonly withdrawn: readonly { readonly id: string; readonly reason: string }[];
}

/** The record of a module; titles and severities come from the advisories, where these know the CVE. */
export function recordOf(
  module: PatchModule,
  release: number,
  proof: string | null,
  advisories: ReadonlyMap<string, Advisory>,
  withdrawn: LivePatchRecord['withdrawn'] = [],
): LivePatchRecord {
  const { manifest } = module;
  const cves = [...new Set(manifest.cves)].sort().map((id): FixedCve => {
    const advisory = advisories.get(id);
    const severity = advisory === undefined ? undefined : severityOf(advisory)?.level;
    return { id, title: advisory?.title ?? '', severity: severity ?? 'unrated' };
  });
  return {
    schema: recordSchema,
    kernel: manifest.release,
    arch: manifest.arch,
    version: manifest.version,
    release,
    module: {
      name: manifest.name,
      sha256: module.sha256,
      signed: module.signed,
      buildId: manifest.buildId ?? '',
    },
    proof,
    cves,
    withdrawn,
  };
}

/** The record of a kernel that is subscribed before there is a patch. */
export function emptyRecord(kernel: string, arch: string): LivePatchRecord {
  return {
    schema: recordSchema,
    kernel,
    arch,
    version: 0,
    release: 0,
    module: null,
    proof: null,
    cves: [],
    withdrawn: [],
  };
}

/** Checks a parsed record. Error: `channel-record`. */
export function readRecord(document: unknown, file: string): LivePatchRecord {
  const plain = object(document);
  const bad = (problem: string): Error => fail('channel-record', { file, problem }, { where: { file } });
  if (plain.schema !== recordSchema) throw bad(`its schema is not ${recordSchema}`);
  const kernel = text(plain.kernel) ?? '';
  if (!isRelease(kernel)) throw bad('it has no kernel release');
  const version = number(plain.version);
  const release = number(plain.release);
  if (!isCount(version) || !isCount(release)) throw bad('version and release must be integers');
  if (!/^\w{1,20}$/.test(text(plain.arch) ?? '')) throw bad('it names no architecture');
  if (plain.module !== null && !isModule(object(plain.module))) throw bad('it does not describe its module');
  if (plain.proof !== null && !isDigest(plain.proof)) throw bad('the digest of its proof is not a SHA-256');
  if (!Array.isArray(plain.cves) || !plain.cves.every(isFixedCve)) throw bad('its list of CVEs is invalid');
  if (!Array.isArray(plain.withdrawn) || !plain.withdrawn.every(isWithdrawn))
    throw bad('its list of withdrawn CVEs is invalid');
  return document as LivePatchRecord;
}

function isDigest(value: unknown): boolean {
  return /^[0-9a-f]{64}$/.test(text(value) ?? '');
}

function isModule({ name, sha256, signed, buildId }: Plain): boolean {
  const named = /^\w{1,55}$/.test(text(name) ?? '') && isDigest(sha256);
  return named && typeof signed === 'boolean' && /^[0-9a-f]{0,128}$/.test(text(buildId) ?? 'none');
}

function isFixedCve(value: unknown): boolean {
  const { id, title, severity } = object(value);
  const words = ['low', 'moderate', 'important', 'critical', 'unrated'];
  return isCveId(text(id) ?? '') && typeof title === 'string' && words.includes(text(severity) ?? '');
}

function isWithdrawn(value: unknown): boolean {
  const { id, reason } = object(value);
  return isCveId(text(id) ?? '') && typeof reason === 'string';
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 0 && value < 1e9;
}

/** `1-2`, or `0-0` for the subscription. */
export function versionText(record: { version: number; release: number }): string {
  return `${record.version}-${record.release}`;
}

/** Negative, 0 or positive as `a` is older than, the same as or newer than `b`. */
export function compareRecords(a: LivePatchRecord, b: LivePatchRecord): number {
  return a.version - b.version || a.release - b.release;
}
