/** The source of a kernel, unpacked into a folder. */
import type { SourceParts } from '../../distro/provider.ts';
import { requireNoEscape } from '../../sandbox/output.ts';
import { sandboxedOk } from '../../sandbox/sandbox.ts';
import { sourceEntries, unpackInto } from '../../sandbox/unpack.ts';

/** Unpacks by the name in `$name`; xz files of distributions have blocks and unpack in parallel. */
const unpacked =
  'case "$name" in *.xz) xz -T0 -dc;; *.zst) zstd -dc;; *.gz|*.tgz) gzip -dc;; *.bz2) bzip2 -dc;; *) cat;; esac';

/** Results of a build in the source folder. */
const buildResults = [
  ...['*.o', '*.o.cmd', '*.ko', '*.a', './vmlinux', './include/config', './include/generated'],
  ...['./usr/initramfs_data.cpio*', './usr/initramfs_inc_data', './certs/signing_key.pem', './certs/signing_key.x509'],
];

/** Shell pipelines that write a tar stream, by kind; `$1` is the path. */
const streams = {
  // Debian has the archive in /usr/src, Ubuntu in a folder below, with a link to it.
  deb: [
    'name=$(dpkg-deb --fsys-tarfile "$1" | tar -tv --wildcards "./usr/src/*linux-*source-*.tar.*" | grep ^- | head -n 1 | sed "s/.* //")',
    `dpkg-deb --fsys-tarfile "$1" | tar -x -O "$name" | ${unpacked}`,
  ].join('; '),
  // A tree that was built in: copy only sources, so that no build results are mistaken for ours. Two of them only their owner may
  // read: the initramfs, and the private key that signs the modules, which is nobody's business.
  folder: `tar -c -C "$1" --exclude-vcs ${buildResults.map((pattern) => `--exclude="${pattern}"`).join(' ')} .`,
  archive: `name=$1; ${unpacked} < "$1"`,
} as const;

/**
 * Unpacks the source into `tree`, without its leading folder. Every file is kept: patches touch documentation and other
 * architectures too. Errors: those of `unpackInto`, `sandbox-output` for a source with links that lead out of it.
 */
export async function unpackSource(source: SourceParts, tree: string, most = sourceEntries): Promise<void> {
  const strip = source.kind === 'folder' ? 0 : 1;
  // `$1` of the streams is the source.
  const stream = `(set -- "$2"; ${streams[source.kind]})`;
  const pipeline = `${stream} | tar -x -v -C "$1" --strip-components=${strip} | counted`;
  await unpackInto(tree, { archives: [source.path], pipeline, most });
  for (const patch of source.patches ?? []) {
    await sandboxedOk('patch', ['-p1', '-s', '-f', '--no-backup-if-mismatch', '-i', patch], {
      view: { readOnly: [patch], writable: [tree] },
      cwd: tree,
    });
  }
  // Links of a built tree lead to where it was built: `lib/modules/RELEASE/build` of its installed modules and packages. No source is
  // such a link. An archive that has one is not what it should be.
  requireNoEscape(tree, { drop: source.kind === 'folder' });
}
