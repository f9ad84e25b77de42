/** The source of a kernel, unpacked into a folder. */

import { mkdirSync } from 'node:fs';
import { failure } from '../base/errors/error.ts';
import { saysDiskFull } from '../base/files.ts';
import type { SourceParts } from '../distro/provider.ts';
import { requireNoEscape } from '../sandbox/output.ts';
import { sandboxed, sandboxedOk } from '../sandbox/sandbox.ts';
import { giveFolder } from '../sandbox/user.ts';

/** Unpacks by the name in `$name`; xz files of distributions have blocks and unpack in parallel. */
const unpacked =
  'case "$name" in *.xz) xz -T0 -dc;; *.zst) zstd -dc;; *.gz|*.tgz) gzip -dc;; *.bz2) bzip2 -dc;; *) cat;; esac';

/** Shell pipelines that write a tar stream, by kind; `$1` is the path. */
const streams = {
  // Debian has the archive in /usr/src, Ubuntu in a folder below, with a link to it.
  deb: [
    'name=$(dpkg-deb --fsys-tarfile "$1" | tar -tv --wildcards "./usr/src/*linux-*source-*.tar.*" | grep ^- | head -n 1 | sed "s/.* //")',
    `dpkg-deb --fsys-tarfile "$1" | tar -x -O "$name" | ${unpacked}`,
  ].join('; '),
  // A tree that was built in: copy only sources, so that no build results are mistaken for ours.
  folder:
    'tar -c -C "$1" --exclude-vcs --exclude="*.o" --exclude="*.o.cmd" --exclude="*.ko" --exclude="*.a" --exclude=./vmlinux --exclude=./include/config --exclude=./include/generated .',
  archive: `name=$1; ${unpacked} < "$1"`,
} as const;

/**
 * Unpacks the source into `tree`, without its leading folder. Every file is kept: patches touch documentation and other
 * architectures too. Errors: `tool-failed`, `disk-full`, `sandbox-output` for a source with links that lead out of it.
 */
export async function unpackSource(source: SourceParts, tree: string): Promise<void> {
  mkdirSync(tree, { recursive: true });
  const strip = source.kind === 'folder' ? 0 : 1;
  const script = `set -o pipefail; { ${streams[source.kind]}; } | tar -x -C "$2" --strip-components=${strip}`;
  giveFolder(tree);
  const { status, stderr } = await sandboxed('bash', ['-c', script, 'unpack', source.path, tree], {
    view: { readOnly: [source.path], writable: [tree] },
  });
  if (saysDiskFull(stderr)) throw failure('disk-full', { file: tree });
  if (status !== 0) {
    throw failure('tool-failed', { command: `unpack ${source.path}`, outcome: `status ${status}` }, { detail: stderr });
  }
  for (const patch of source.patches ?? []) {
    await sandboxedOk('patch', ['-p1', '-s', '-f', '--no-backup-if-mismatch', '-i', patch], {
      view: { readOnly: [patch], writable: [tree] },
      cwd: tree,
    });
  }
  requireNoEscape(tree);
}
