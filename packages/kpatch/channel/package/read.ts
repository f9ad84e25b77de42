/** Reads a live patch package back: what `kpatch channel add` must know before it believes a file's name. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { fail } from '../../base/errors/error.ts';
import { readBytes, temporaryFolder } from '../../base/files.ts';
import { parseJSON } from '../../base/plain.ts';
import { run, runOk } from '../../base/run.ts';
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
    fail('channel-package', { file, problem }, { where: { file }, ...(detail === undefined ? {} : { detail }) });
  using folder = temporaryFolder('kpatch-read-');
  await unpack(file, format, folder.path, bad);
  const base = join(folder.path, 'usr/lib/kpatch');
  const kernels = existsSync(base) ? readdirSync(base) : [];
  const [kernel] = kernels;
  if (kernel === undefined || kernels.length > 1) throw bad('it is no package of one live patch');
  const files = readdirSync(join(base, kernel));
  const at = (name: string): string => join(base, kernel, name);
  const record = readRecord(parseJSON(readBytes(at('advisory.json')), file), file);
  if (record.kernel !== kernel) throw bad(`it lies in the folder of ${kernel}, its record is for ${record.kernel}`);
  const named = basename(file);
  const expected = fileNames(packageNames(kernel), record.version, record.release, record.arch)[format];
  if (named !== expected) throw bad(`it is named ${named}, by its content it would be ${expected}`);
  const modules = files.filter((name) => name.endsWith('.ko'));
  if (record.module === null) {
    if (modules.length > 0) throw bad('its record says it is empty, but it holds a module');
    return { file, format, record, module: undefined };
  }
  const name = `${record.module.name}.ko`;
  if (modules.length !== 1 || modules[0] !== name) throw bad(`it should hold ${name} and no other module`);
  const proof = files.find((other) => other === `${record.module?.name}.proof.json`);
  const module = patchModuleOf(
    readBytes(at(name)),
    `${file}:${packageFolder(kernel)}/${name}`,
    proof === undefined ? undefined : readBytes(at(proof)),
  );
  if (module.sha256 !== record.module.sha256) throw bad('the module in it is not the one of its record');
  const { manifest } = module;
  if (manifest.release !== kernel || manifest.version !== record.version || manifest.name !== record.module.name) {
    throw bad(`the module's manifest says ${manifest.name} version ${manifest.version} for ${manifest.release}`);
  }
  if ((module.proof === undefined ? null : sha256(module.proof)) !== record.proof)
    throw bad('its proof is not the one of its record');
  return { file, format, record, module };
}

/** What a file name says that it is. Error: `channel-package`. */
function formatOf(file: string): 'deb' | 'rpm' {
  if (file.endsWith('.deb')) return 'deb';
  if (file.endsWith('.rpm')) return 'rpm';
  throw fail('channel-package', { file, problem: 'its name ends neither in .deb nor in .rpm' }, { where: { file } });
}

async function unpack(
  file: string,
  format: 'deb' | 'rpm',
  folder: string,
  bad: (problem: string, detail?: string) => Error,
): Promise<void> {
  readBytes(file); // says in words why it cannot be read
  if (format === 'deb') {
    const result = await run('dpkg-deb', ['-x', file, folder]);
    if (result.status !== 0) throw bad('it is damaged', result.stderr);
    return;
  }
  mkdirSync(folder, { recursive: true });
  const archive = await run('rpm2cpio', [file]);
  if (archive.status !== 0) throw bad('it is damaged', archive.stderr);
  await runOk('cpio', ['-idm', '--quiet', '--no-absolute-filenames'], { cwd: folder, input: archive.stdout });
}
