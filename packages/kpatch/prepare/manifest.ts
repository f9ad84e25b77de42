/** What makes a prepared kernel complete: its description and the digests by which damage is noticed. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { readBytes, writeAtomically } from '../base/files.ts';
import type { preparedKernelDocument } from '../documents/definitions/stored.ts';
import { type Stored, storedDocument } from '../documents/form.ts';
import type { TargetKernel } from '../kernel/target.ts';
import { kernelFolder, manifestText } from './cache.ts';
import { firstChange, keepListing } from './integrity.ts';

type PreparedKernel = Stored<typeof preparedKernelDocument>;

/** Raised when the layout of the folder changes: folders of another format are prepared again. */
const FORMAT: PreparedKernel['format'] = 2;

/** Small files whose content decides everything that is built; each is read and checked on every use. */
function decisiveFiles({ paths }: TargetKernel): string[] {
  const inTree = [
    '.config',
    'Makefile',
    'include/config/auto.conf',
    'include/generated/autoconf.h',
    'scripts/basic/fixdep',
    'scripts/mod/modpost',
    'tools/objtool/objtool',
  ];
  const outside = [paths.image].filter((path) => !path.startsWith(`${paths.root}/`)); // not in the listing
  return [paths.symvers, paths.config, ...outside, ...inTree.map((name) => join(paths.tree, name))].filter(existsSync);
}

/** Writes the manifest: from now on the folder is complete. */
export async function writeManifest(kernel: TargetKernel): Promise<void> {
  const { root } = kernel.paths;
  const digests: Record<string, string> = {};
  for (const path of decisiveFiles(kernel)) digests[relative(root, path)] = sha256(readBytes(path));
  const manifest: Omit<PreparedKernel, 'kernel'> & { readonly kernel: TargetKernel } = {
    format: FORMAT,
    kernel,
    digests,
    listing: await keepListing(root),
  };
  writeAtomically(join(root, 'manifest.json'), `${JSON.stringify(manifest, undefined, 1)}\n`, 0o444);
}

export type CacheState =
  | { readonly state: 'absent' }
  | { readonly state: 'incomplete' }
  | { readonly state: 'damaged'; readonly file: string }
  | { readonly state: 'complete'; readonly kernel: TargetKernel };

/** Looks at a release's folder: is it complete and as it was when it was made? Takes about 0.3 s for a whole kernel. */
export async function inspectCached(release: string): Promise<CacheState> {
  const { now, listed } = inspectInTwo(release);
  if (now.state !== 'complete') return now;
  const changed = await listed();
  return changed === undefined ? now : { state: 'damaged', file: changed };
}

export interface Inspection {
  /** By the manifest and the digests of the files that decide what is built; takes a few milliseconds. */
  readonly now: CacheState;
  /** Compares the list of all files: the first one that is not as it was. Only for a complete kernel. */
  readonly listed: () => Promise<string | undefined>;
}

/** Like `inspectCached` in two steps, the second of which a caller can run while it works. */
export function inspectInTwo(release: string): Inspection {
  const none = (now: CacheState): Inspection => ({ now, listed: async () => undefined });
  const folder = kernelFolder(release);
  if (!existsSync(folder)) return none({ state: 'absent' });
  const manifest = readPrepared(release);
  if (manifest === 'absent' || manifest === 'other') return none({ state: 'incomplete' });
  if (manifest === 'damaged') return none({ state: 'damaged', file: 'manifest.json' });
  if (manifest.kernel.paths.root !== folder) return none({ state: 'incomplete' });
  for (const [name, digest] of Object.entries(manifest.digests)) {
    const path = join(folder, name);
    if (!existsSync(path) || sha256(readBytes(path)) !== digest) return none({ state: 'damaged', file: name });
  }
  const { listing } = manifest;
  return { now: { state: 'complete', kernel: kernelOf(manifest) }, listed: () => firstChange(folder, listing) };
}

/** The description of a prepared kernel without looking at its files; undefined if it is not complete. */
export function describedKernel(release: string): TargetKernel | undefined {
  const manifest = readPrepared(release);
  return typeof manifest === 'object' ? kernelOf(manifest) : undefined;
}

/** JSON leaves out what is undefined. */
function kernelOf({ kernel: { buildId, banner, paths, ...others } }: PreparedKernel): TargetKernel {
  return { ...others, buildId, banner, paths: { ...paths, modules: paths.modules } };
}

/** `other` if another version of kpatch made the folder. */
function readPrepared(release: string): PreparedKernel | 'absent' | 'damaged' | 'other' {
  const text = manifestText(release);
  if (text === undefined) return 'absent';
  try {
    const value: unknown = JSON.parse(text);
    const { format } = Object(value) as { readonly format?: unknown };
    if (typeof format === 'number' && format !== FORMAT) return 'other';
    return storedDocument('kpatch.prepared-kernel', value);
  } catch {
    return 'damaged';
  }
}
