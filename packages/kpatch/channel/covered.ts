/** Which CVEs are fixed live on a machine: those that the manifests of its loaded livepatch modules name. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBytes } from '../base/files.ts';
import { readManifest } from '../module/manifest.ts';

/**
 * The CVEs of the given module files; without any, of the modules that are loaded (`/sys/kernel/livepatch`) and whose file
 * is in the store for this release. Errors: `file-unreadable`, those of reading a manifest, for files given by name.
 */
export function coveredBy(files: readonly string[] | undefined, release: string, root = '/'): Set<string> {
  if (files !== undefined) return new Set(files.flatMap((file) => readManifest(readBytes(file), file)?.cves ?? []));
  const folder = join(root, 'sys/kernel/livepatch');
  const loaded = existsSync(folder) ? readdirSync(folder).filter((name) => isEnabled(join(folder, name))) : [];
  return new Set(loaded.flatMap((name) => stored(join(root, 'var/lib/kpatch', release), name)));
}

function isEnabled(patch: string): boolean {
  try {
    return readFileSync(join(patch, 'enabled'), 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

function stored(store: string, name: string): readonly string[] {
  const files = existsSync(store) ? readdirSync(store).filter((file) => file.endsWith('.ko')) : [];
  for (const file of files) {
    try {
      const manifest = readManifest(readBytes(join(store, file)), file);
      // A dash in a file name is an underscore in the name of the module (kmod).
      if (manifest?.name.replaceAll('-', '_') === name.replaceAll('-', '_')) return manifest.cves;
    } catch {
      // A damaged file in the store says nothing of what is loaded; `kpatch verify` reports it.
    }
  }
  return [];
}
