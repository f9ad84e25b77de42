/** RPM packages, unpacked without being installed. */

import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { saysDiskFull } from '../../base/files.ts';
import { settleLinks } from '../../sandbox/output.ts';
import { sandboxed, sandboxedOk } from '../../sandbox/sandbox.ts';
import { giveFolder } from '../../sandbox/user.ts';
import type { SourceParts } from '../provider.ts';

/** Unpacks a package below `root`. Errors: `tool-missing`, `tool-failed`, `disk-full`. */
export async function unpackRpm(path: string, root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  const script =
    'set -o pipefail; rpm2cpio "$1" | cpio --extract --make-directories --preserve-modification-time --quiet --no-absolute-filenames -D "$2"';
  giveFolder(root);
  const { status, stderr } = await sandboxed('bash', ['-c', script, 'unpack', path, root], {
    view: { readOnly: [path], writable: [root] },
  });
  if (saysDiskFull(stderr)) throw failure('disk-full', { file: root });
  const absent = /(rpm2cpio|cpio): (command )?not found/.exec(stderr)?.[1];
  if (absent !== undefined) throw failure('tool-missing', { tool: absent, package: absent });
  if (status !== 0)
    throw failure('tool-failed', { command: `unpack ${path}`, outcome: `status ${status}` }, { detail: stderr });
}

/**
 * Unpacks a source package into `folder` and reads its spec: the archive of the kernel and the patches that are applied to
 * it. Patches that are empty are placeholders for people who build their own (Fedora's linux-kernel-test.patch).
 * `macros` are defined while the spec is read. Errors: as `unpackRpm`, and `kernel-part-missing`.
 */
export async function unpackSourceRpm(
  path: string,
  folder: string,
  macros: Readonly<Record<string, string>> = {},
): Promise<SourceParts> {
  rmSync(folder, { recursive: true, force: true });
  await unpackRpm(path, folder);
  settleLinks(folder);
  const spec = readdirSync(folder).find((name) => name.endsWith('.spec'));
  const missing = (name: string): Error =>
    failure('kernel-part-missing', { release: path, part: 'source', package: name });
  if (spec === undefined) throw missing('*.spec');
  // A spec file can run commands: %(command).
  const defined = Object.entries({ _sourcedir: folder, ...macros }).flatMap(([name, text]) => [
    '--define',
    `${name} ${text}`,
  ]);
  const parsed = await sandboxedOk('rpmspec', ['-P', ...defined, join(folder, spec)], { view: { readOnly: [folder] } });
  const files = filesOf(parsed.stdout.toString());
  const archive = files.sources.find((name) => /^linux-.*\.tar(\.\w+)?$/.test(name));
  if (archive === undefined || !existsSync(join(folder, archive))) throw missing(archive ?? 'linux-*.tar.xz');
  const patches = files.patches.map((name) => join(folder, name));
  const absent = patches.find((name) => !existsSync(name));
  if (absent !== undefined) throw missing(absent);
  return { kind: 'archive', path: join(folder, archive), patches: patches.filter((name) => statSync(name).size > 0) };
}

/** Sources and patches of an expanded spec file, each in the order of its numbers; of an address only the file name counts. */
export function filesOf(spec: string): { sources: string[]; patches: string[] } {
  const tags = { source: new Map<number, string>(), patch: new Map<number, string>() };
  for (const line of spec.split('\n')) {
    const match = /^(source|patch)(\d*)\s*:\s*(\S+)/i.exec(line);
    if (match === null) continue;
    const table = match[1]!.toLowerCase() === 'source' ? tags.source : tags.patch;
    table.set(match[2] === '' ? table.size : Number(match[2]), match[3]!.slice(match[3]!.lastIndexOf('/') + 1));
  }
  const ordered = (table: Map<number, string>): string[] =>
    [...table].sort((a, b) => a[0] - b[0]).map(([, name]) => name);
  return { sources: ordered(tags.source), patches: ordered(tags.patch) };
}
