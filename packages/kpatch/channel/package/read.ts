/** Reads a live patch package back: what `kpatch channel add` must know before it believes a file's name. */
import { basename } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { parseJSON } from '../../base/plain.ts';
import { readTar } from '../../formats/tar.ts';
import { sandboxed } from '../../sandbox/sandbox.ts';
import { type PatchModule, patchModuleOf } from '../patch-module.ts';
import { packageFolder } from './livepatch.ts';
import { fileNames, packageNames } from './name.ts';
import { type LivePatchRecord, readRecord } from './record.ts';

export interface ReadPackage {
  readonly file: string;
  readonly format: 'deb' | 'rpm';
  readonly record: LivePatchRecord;
  readonly module: PatchModule | undefined;
}

/**
 * Unpacks a package and checks that name, record and module say the same.
 * Errors: `file-unreadable`, `channel-package`, `channel-record`, `channel-module`, those of reading ELF, `tool-missing`.
 */
export async function readPackage(file: string): Promise<ReadPackage> {
  const format = formatOf(file);
  const bad = (problem: string, detail?: string): Error =>
    failure('channel-package', { file, problem }, { where: { file }, ...(detail === undefined ? {} : { detail }) });
  const files = await unpack(file, format, bad);
  const kernels = [...new Set([...files.keys()].map((path) => path.slice(0, path.lastIndexOf('/'))))];
  const [kernel] = kernels;
  if (kernel === undefined || kernel.includes('/') || kernels.length > 1)
    throw bad('it is not a package of one live patch');
  const names = [...files.keys()].map((path) => path.slice(kernel.length + 1));
  const at = (name: string): Buffer => {
    const bytes = files.get(`${kernel}/${name}`);
    if (bytes === undefined) throw bad(`it has no ${name}`);
    return bytes;
  };
  const record = readRecord(parseJSON(at('advisory.json'), file), file);
  if (record.kernel !== kernel) throw bad(`its files are for ${kernel}, but its record is for ${record.kernel}`);
  const named = basename(file);
  const expected = fileNames(packageNames(kernel), record.version, record.release, record.arch)[format];
  if (named !== expected) throw bad(`its name is ${named}, but its content requires ${expected}`);
  const modules = names.filter((name) => name.endsWith('.ko'));
  if (record.module === null) {
    if (modules.length > 0) throw bad('its record says it is empty, but it contains a module');
    return { file, format, record, module: undefined };
  }
  const name = `${record.module.name}.ko`;
  if (modules.length !== 1 || modules[0] !== name) throw bad(`it must contain ${name} and no other module`);
  const { name: base } = record.module;
  const optional = (name: string): Buffer | undefined => files.get(`${kernel}/${name}`);
  const module = patchModuleOf(at(name), `${file}:${packageFolder(kernel)}/${name}`, {
    proof: optional(`${base}.proof.json`),
    provenance: optional(`${base}.provenance.json`),
  });
  if (module.sha256 !== record.module.sha256) throw bad('its module does not match its record');
  const { manifest } = module;
  if (manifest.release !== kernel || manifest.version !== record.version || manifest.name !== record.module.name) {
    throw bad(`the manifest of its module is for ${manifest.name} version ${manifest.version} for ${manifest.release}`);
  }
  if (digestOf(module.proof) !== record.proof) throw bad('its proof does not match its record');
  if (digestOf(module.provenance) !== (record.provenance ?? null))
    throw bad('its provenance does not match its record');
  return { file, format, record, module };
}

function digestOf(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : sha256(bytes);
}

/** What a file name says that it is. Error: `channel-package`. */
function formatOf(file: string): 'deb' | 'rpm' {
  if (file.endsWith('.deb')) return 'deb';
  if (file.endsWith('.rpm')) return 'rpm';
  throw failure('channel-package', { file, problem: 'its name must end in .deb or .rpm' }, { where: { file } });
}

/** Bytes that the files of a package may have together. */
const LIMIT = 256 << 20;

/** Files and folders that a package may have; a live patch has about ten. */
const MOST_ENTRIES = 100;

/** Bytes of an archive that are listed at most. */
const LISTED = 2 * LIMIT;

/** Prints the names in the archive, one a line, without writing anything. */
const listings = {
  deb: `dpkg-deb --fsys-tarfile /tmp/package | head -c ${LISTED} | tar -t`,
  rpm: `rpm2cpio /tmp/package | head -c ${LISTED} | cpio -it --quiet`,
} as const;

/** Unpacks in a private folder of the sandbox and prints the files of /usr/lib/kpatch as a tar archive. */
const scripts = {
  deb: 'dpkg-deb -x /tmp/package /tmp/out',
  rpm: 'cd /tmp/out && rpm2cpio /tmp/package | cpio -idm --quiet --no-absolute-filenames',
} as const;

/**
 * The files below /usr/lib/kpatch of a package, by their path from there. Nothing is written on this machine: what comes out
 * of the sandbox is read as data. A link or special file in the package is refused. Error: `channel-package`.
 */
async function unpack(
  file: string,
  format: 'deb' | 'rpm',
  bad: (problem: string, detail?: string) => Error,
): Promise<Map<string, Buffer>> {
  // Counted first, and no further than necessary: to unpack a hundred thousand files takes long.
  const count = `n=$( (${listings[format]} | head -n ${MOST_ENTRIES + 1} | wc -l) 2>/dev/null || true)`;
  const few = `if [ "$n" -gt ${MOST_ENTRIES} ]; then echo 'too many files' >&2; exit 1; fi`;
  const first = ['set -eo pipefail', 'cat > /tmp/package', count, few];
  const steps = [...first, 'mkdir /tmp/out', scripts[format], 'cd /tmp/out'];
  const links = 'find . ! -type f ! -type d -printf "%p is a link or a special file\\n" >&2';
  const list = 'tar -c --format=ustar -C usr/lib/kpatch .';
  // A sparse file is small in the archive and has any size when it is unpacked.
  const limits = { fileBytes: LIMIT };
  const options = { view: {}, input: readBytes(file), tmpBytes: 2 * LIMIT, maxOutput: LIMIT, limits };
  const { status, stdout, stderr } = await sandboxed('bash', ['-c', [...steps, links, list].join('; ')], options);
  const strange = /^\.\/(.* is a link or a special file)$/m.exec(stderr)?.[1];
  if (strange !== undefined) throw bad(strange);
  if (/^too many files$/m.test(stderr)) throw bad(`it has more than ${MOST_ENTRIES} files and folders`);
  const entries = status === 0 ? readTar(stdout) : undefined;
  if (entries === undefined) throw bad('it is damaged, or not a package of one live patch', stderr);
  return new Map(entries.filter(({ kind }) => kind === 'file').map(({ path, bytes }) => [path, bytes]));
}
