/**
 * Fetches what a machine needs of a channel into a folder: verified metadata and the targets for some kernels. It needs no
 * rights: whoever uses the folder treats it as a mirror and verifies everything again. The same makes an air-gapped mirror.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { failure } from '../../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../../base/files.ts';
import {
  consistentPath,
  kernelsTarget,
  type ListedPatch,
  listedPatches,
  type TargetFile,
  targetFiles,
} from '../../tuf/target.ts';
import { type Choose, wantedPatch } from './choice.ts';
import { seenTime } from './clock.ts';
import { followedChannel, refreshFolder } from './refresh.ts';
import type { Source } from './source.ts';
import { copyState, signedIn } from './state.ts';

/** The files that a patch consists of. */
export function filesOf(patch: ListedPatch): TargetFile[] {
  const { file, recordFile, proofFile, provenanceFile } = patch;
  return [file, recordFile, proofFile, provenanceFile].filter((one) => one !== undefined);
}

/** Where the root process keeps a target that is verified and not installed yet. */
export function dataFile(base: string, { path }: TargetFile): string {
  return join(base, 'data', path);
}

/**
 * Fetches into `to` (its folder `tuf` is replaced). `base` is the verified state of the machine, which is only read.
 * Errors: those of `refresh`, `tuf-target`, `tuf-record`.
 */
export async function fetchChannel(
  base: string,
  source: Source,
  kernels: readonly string[],
  to: string,
  choose?: Choose,
): Promise<void> {
  rmSync(join(to, 'tuf'), { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  const put = (path: string, bytes: Buffer): void => {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    writeAtomically(join(to, path), bytes);
  };
  using copy = copyState(base, to);
  await refreshFolder(copy.path, followedChannel(base), source, seenTime(base), put);
  const signed = signedIn(copy.path, 'targets') ?? {};
  const listed = listedPatches(signed);
  const windows = targetFiles(signed).get(kernelsTarget);
  const wanted = [
    ...(windows === undefined ? [] : [windows]),
    ...kernels.flatMap((release) => {
      const patch = wantedPatch(listed.get(release), release, choose);
      return patch === undefined ? [] : filesOf(patch);
    }),
  ];
  let failed: unknown;
  for (const file of wanted) {
    if (kept(base, file) !== undefined) continue;
    try {
      put(`tuf/${consistentPath(file)}`, await readTarget(source, file));
    } catch (error) {
      // One file that is missing must not hold back the patch of another kernel.
      failed ??= error;
    }
  }
  chmodSync(to, 0o755);
  if (failed !== undefined) throw failed;
}

/** The bytes of a target, verified. Errors: `tuf-target`, those of the source. */
export async function readTarget(source: Source, file: TargetFile): Promise<Buffer> {
  const { path, length } = file;
  const wrong = (problem: string): Error => failure('tuf-target', { path, url: source.url, problem });
  const bytes = await source.read(`tuf/${consistentPath(file)}`, length);
  if (bytes === undefined) throw wrong('it is missing');
  if (bytes.length !== length) throw wrong(`it has ${bytes.length} bytes instead of ${length}`);
  if (sha256(bytes) !== file.sha256) throw wrong('its SHA-256 differs');
  return bytes;
}

/** The bytes of a target that is kept on this machine already. */
export function kept(base: string, file: TargetFile): Buffer | undefined {
  try {
    const bytes = readBytes(dataFile(base, file));
    return sha256(bytes) === file.sha256 ? bytes : undefined;
  } catch {
    return undefined; // not fetched yet
  }
}
