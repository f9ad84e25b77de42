/** What a channel says of its target files: one livepatch module with proof and record, per patch and kernel. */
import { isCveId } from '../../advisory/record.ts';
import { failure } from '../../base/errors/error.ts';
import { list, number, object, type Plain, text, texts } from '../../base/plain.ts';
import { isRelease } from '../patch-module.ts';

/** The target with the support windows of all kernels. */
export const kernelsTarget = 'kernels.json';

/** A target file: its length in bytes and its SHA-256. */
export interface TargetFile {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

/** The custom metadata of a module. */
export interface PatchTarget {
  readonly kind: 'module';
  /** The kernel, as `uname -r`. */
  readonly release: string;
  readonly arch: string;
  readonly name: string;
  readonly version: number;
  /** Release of the packages; the same module with another proof or record has a higher one. */
  readonly packageRelease: number;
  readonly cves: readonly string[];
  readonly withdrawn: readonly string[];
  /** Names of the modules before it that it replaces. */
  readonly supersedes: readonly string[];
  /** Paths of other targets. */
  readonly proof: string | null;
  /** Null also in lists that were made before channels carried provenance. */
  readonly provenance: string | null;
  readonly record: string;
}

/** A patch that a channel lists, with the files it consists of. */
export interface ListedPatch extends PatchTarget {
  readonly file: TargetFile;
  readonly proofFile: TargetFile | undefined;
  readonly provenanceFile: TargetFile | undefined;
  readonly recordFile: TargetFile;
}

/** The target files in the signed part of targets metadata, by path. */
export function targetFiles(signed: Plain): ReadonlyMap<string, TargetFile & { readonly custom: Plain }> {
  return new Map(
    Object.entries(object(signed.targets)).map(([path, value]) => {
      const { length, hashes, custom } = object(value);
      const sha256 = text(object(hashes).sha256) ?? '';
      return [path, { path, length: number(length) ?? 0, sha256, custom: object(custom) }];
    }),
  );
}

/** The patches that targets metadata offers, by kernel, newest first; not those that were offered before. Error: `tuf-record`. */
export function listedPatches(signed: Plain): ReadonlyMap<string, readonly ListedPatch[]> {
  const files = targetFiles(signed);
  const found = new Map<string, ListedPatch[]>();
  for (const { custom, ...file } of files.values()) {
    if (custom.kind !== 'module') continue;
    const target = patchTargetOf(custom, file.path);
    const other = (what: string, path: string): TargetFile => {
      const found = files.get(path);
      if (found !== undefined) return found;
      throw failure('tuf-record', { path: file.path, problem: `its ${what} ${path} is not listed` });
    };
    const proofFile = target.proof === null ? undefined : other('proof', target.proof);
    const provenanceFile = target.provenance === null ? undefined : other('provenance', target.provenance);
    const recordFile = other('record', target.record);
    const listed = found.get(target.release) ?? [];
    listed.push({ ...target, file, proofFile, provenanceFile, recordFile });
    found.set(target.release, listed);
  }
  for (const listed of found.values()) {
    listed.sort((a, b) => b.version - a.version || b.packageRelease - a.packageRelease);
  }
  return found;
}

function patchTargetOf(custom: Plain, path: string): PatchTarget {
  const bad = (problem: string): Error => failure('tuf-record', { path, problem });
  const release = text(custom.release) ?? '';
  const name = text(custom.name) ?? '';
  if (!isRelease(release)) throw bad('it names no kernel release');
  if (!/^[A-Za-z0-9_]{1,55}$/.test(name)) throw bad('it names no module');
  // The path follows from the description, so that no two files can claim to be the same patch.
  if (path !== modulePath(release, name)) throw bad(`its path is not ${modulePath(release, name)}`);
  const [version, packageRelease] = [count(custom.version), count(custom.packageRelease)];
  if (version === undefined || packageRelease === undefined) throw bad('its version is not a whole number');
  const [cves, withdrawn, supersedes] = [texts(custom.cves), texts(custom.withdrawn), texts(custom.supersedes)];
  if (cves.length !== list(custom.cves).length || ![...cves, ...withdrawn].every(isCveId))
    throw bad('it lists an invalid CVE id');
  const arch = text(custom.arch) ?? '';
  if (!/^\w{1,20}$/.test(arch)) throw bad('it names no architecture');
  const proof = custom.proof === null ? null : text(custom.proof);
  if (proof === undefined) throw bad('it does not say whether there is a proof');
  const provenance = custom.provenance === undefined || custom.provenance === null ? null : text(custom.provenance);
  if (provenance === undefined) throw bad('the path of its provenance is not text');
  const record = text(custom.record) ?? '';
  const named = { release, arch, name, version, packageRelease };
  return { kind: 'module', ...named, cves, withdrawn, supersedes, proof, provenance, record };
}

function count(value: unknown): number | undefined {
  const found = number(value);
  return found !== undefined && Number.isInteger(found) && found >= 0 && found < 1e9 ? found : undefined;
}

/** Path of a module's target. */
export function modulePath(release: string, name: string): string {
  return `${release}/${name}.ko`;
}

/** Name of a target's file in a repository with consistent snapshots (specification, section 6.2). */
export function consistentPath({ path, sha256 }: TargetFile): string {
  const slash = path.lastIndexOf('/') + 1;
  return `targets/${path.slice(0, slash)}${sha256}.${path.slice(slash)}`;
}
