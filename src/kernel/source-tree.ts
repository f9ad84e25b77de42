/** The source of a kernel, unpacked into a folder. */
import { mkdirSync } from 'node:fs';
import { fail } from '../errors/error.ts';
import { run, runOk } from '../util/run.ts';
import type { SourceParts } from './provider.ts';

/** Shell pipelines that write a tar stream, by kind; `$1` is the path. xz files of distributions have blocks and unpack in parallel. */
const streams = {
  deb: 'dpkg-deb --fsys-tarfile "$1" | tar -x -O --wildcards \'./usr/src/linux-source-*.tar.*\' | xz -T0 -dc',
  archive:
    'case "$1" in *.xz) xz -T0 -dc;; *.zst) zstd -dc;; *.gz|*.tgz) gzip -dc;; *.bz2) bzip2 -dc;; *) cat;; esac < "$1"',
} as const;

/**
 * Unpacks the source into `tree`, without its leading folder. Every file is kept: patches touch documentation and other
 * architectures too. Errors: `tool-failed`, `disk-full`.
 */
export async function unpackSource(source: SourceParts, tree: string): Promise<void> {
  mkdirSync(tree, { recursive: true });
  if (source.kind === 'folder') {
    await copyFolder(source.path, tree);
    return;
  }
  const script = `set -o pipefail; ${streams[source.kind]} | tar -x -C "$2" --strip-components=1`;
  const { status, stderr } = await run('bash', ['-c', script, 'unpack', source.path, tree]);
  if (/No space left/.test(stderr)) throw fail('disk-full', { file: tree });
  if (status !== 0) {
    throw fail('tool-failed', { command: `unpack ${source.path}`, outcome: `status ${status}` }, { detail: stderr });
  }
}

/** Copies a folder with times, sharing blocks where the filesystem can. */
export async function copyFolder(from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  await runOk('cp', ['-a', '--reflink=auto', '--no-target-directory', from, to]);
}
