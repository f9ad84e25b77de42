/** The record that is included inside each live patch package, as `/usr/lib/kpatch/RELEASE/advisory.json`. */

import { type Advisory, isCveId, severityOf } from '../../advisory/record.ts';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import type { livePatchRecordDocument } from '../../documents/definitions/channel.ts';
import { formProblem, type Stored } from '../../documents/form.ts';
import { isRelease, type PatchModule } from '../patch-module.ts';

export const recordSchema = 'kpatch.livepatch/1';

export type LivePatchRecord = Stored<typeof livePatchRecordDocument>;
export type FixedCve = LivePatchRecord['cves'][number];

/** The record of a module; titles and severities come from the advisories, where these know the CVE. */
export function recordOf(
  module: PatchModule,
  release: number,
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
    proof: module.proof === undefined ? null : sha256(module.proof),
    provenance: module.provenance === undefined ? null : sha256(module.provenance),
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
    provenance: null,
    cves: [],
    withdrawn: [],
  };
}

/** Checks a parsed record. Error: `channel-record`. */
export function readRecord(document: unknown, file: string): LivePatchRecord {
  const bad = (problem: string): Error => failure('channel-record', { file, problem }, { where: { file } });
  const problem = formProblem(recordSchema, document);
  if (problem !== undefined) throw bad(problem);
  const record = document as LivePatchRecord;
  if (!isRelease(record.kernel)) throw bad('it has no kernel release');
  if (!record.cves.every(({ id }) => isCveId(id))) throw bad('it lists an invalid CVE id');
  return record;
}

/** `1-2`, or `0-0` for the subscription. */
export function versionText(record: { version: number; release: number }): string {
  return `${record.version}-${record.release}`;
}

/** Negative, 0 or positive as `a` is older than, the same as or newer than `b`. */
export function compareRecords(a: LivePatchRecord, b: LivePatchRecord): number {
  return a.version - b.version || a.release - b.release;
}
