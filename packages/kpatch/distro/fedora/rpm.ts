/** RPM packages, unpacked without being installed. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { settleLinks } from '../../sandbox/output.ts';
import { sandboxedOk } from '../../sandbox/sandbox.ts';
import { packageEntries, unpackInto } from '../../sandbox/unpack.ts';
import type { SourceParts } from '../provider.ts';

/** Unpacks a package below `root`. Errors: those of `unpackInto`. */
export async function unpackRpm(path: string, root: string, most = packageEntries): Promise<void> {
  const unpack =
    'cpio --extract --make-directories --preserve-modification-time --quiet --no-absolute-filenames --verbose -D "$1"';
  const pipeline = `rpm2cpio "$2" | ${unpack} 2>&1 >/dev/null | counted`;
  await unpackInto(root, { archives: [path], pipeline, most });
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
