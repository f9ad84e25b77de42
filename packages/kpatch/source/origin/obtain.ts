/**
 * Turns what a user names into patch files: files, folders and series as they are; standard input (`-`), an address, a commit
 * and a CVE as files in a working folder.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import { compressionOf } from '../../formats/compression.ts';
import { sandboxedOk } from '../../sandbox/sandbox.ts';
import { LARGEST_PATCH } from '../diff/unpack.ts';
import { patchFiles } from '../series.ts';
import { commitPatch, isCommit } from './commit.ts';
import { cveRecord, fixFor, isCve } from './cve.ts';
import { download, rawAddress } from './download.ts';
import { type OriginSettings, readOriginSettings } from './settings.ts';

export interface ObtainInput {
  readonly names: readonly string[];
  /** An empty folder for what is fetched. */
  readonly folder: string;
  /** A folder in the cache for commits of remote repositories. */
  readonly cache: string;
  /** The target kernel, which decides between the fixes of a CVE; asked only for a CVE. */
  readonly release: () => string | undefined;
  readonly note: (text: string) => void;
  readonly settings?: OriginSettings;
}

export interface Obtained {
  /** Patch files in order. */
  readonly files: readonly string[];
  /** The CVEs that were asked for by name. */
  readonly cves: readonly string[];
}

/**
 * Errors: those of `commitPatch`, `cveRecord`, `fixFor` and `download`; `cve-needs-kernel`; `patch-unknown` for a name that is
 * none of these; those of `patchFiles`.
 */
export async function obtainPatches(input: ObtainInput): Promise<Obtained> {
  const files: string[] = [];
  const cves: string[] = [];
  for (const name of input.names) {
    if (existsSync(name)) files.push(...(await unpacked(patchFiles([name]), input.folder)));
    else {
      if (isCve(name)) cves.push(name);
      files.push(await fetched(name, input));
    }
  }
  return { files, cves };
}

async function fetched(name: string, input: ObtainInput): Promise<string> {
  const { note, cache, settings = readOriginSettings() } = input;
  if (name === '-') return save(input.folder, 'stdin', await standardInput());
  if (/^https?:\/\//.test(name)) {
    const address = rawAddress(name);
    note(`downloading ${address}`);
    return save(input.folder, basename(new URL(address).pathname), await download(address, settings.file));
  }
  if (isCve(name)) {
    const release = input.release();
    if (release === undefined) throw failure('cve-needs-kernel', { id: name });
    const fix = fixFor(name, await cveRecord(name, settings), release);
    note(`${name}: fixed by commit ${fix.commit} (${fix.series === 'mainline' ? 'mainline' : `series ${fix.series}`})`);
    return save(input.folder, name, await commitPatch(fix.commit, settings, cache));
  }
  if (isCommit(name)) {
    const patch = await commitPatch(name, settings, cache);
    note(`commit ${name}: ${subjectOf(patch) ?? 'no subject'}`);
    return save(input.folder, subjectOf(patch) ?? name, patch);
  }
  throw failure('patch-unknown', { name });
}

async function standardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    size += (chunk as Buffer).length;
    if (size > LARGEST_PATCH)
      throw failure('patch-too-large', { file: 'standard input', limit: LARGEST_PATCH / 1024 / 1024 });
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** The subject of a mail, by which `git format-patch` would call the file. */
function subjectOf(patch: Buffer): string | undefined {
  const header = patch.subarray(0, 16_384).toString('utf8').split('\n\n')[0]!;
  const subject = /^Subject: (.*(?:\n[ \t].*)*)/m.exec(header)?.[1];
  return subject?.replace(/\s+/g, ' ').replace(/^(?:\[[^\]]*\]\s*)+/, '');
}

/** Its name becomes that of the module. */
function save(folder: string, name: string, content: Uint8Array): string {
  const plain = name
    .replace(/\.(?:patch|diff|mbox|raw)$/, '')
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '');
  const file = join(folder, `${plain.slice(0, 60) || 'patch'}.patch`);
  writeAtomically(file, content);
  return file;
}

/** Files packed with xz, unpacked in a sandbox; Node has no xz. */
async function unpacked(files: readonly string[], folder: string): Promise<string[]> {
  const made: string[] = [];
  for (const file of files) {
    const bytes = readBytes(file);
    if (compressionOf(bytes) !== 'xz') {
      made.push(file);
      continue;
    }
    const { stdout } = await sandboxedOk('xz', ['-dc'], { view: {}, input: bytes, maxOutput: LARGEST_PATCH });
    made.push(save(folder, basename(file).replace(/\.xz$/, ''), stdout));
  }
  return made;
}
