/** Which CVEs are fixed live on a machine: those that the manifests of its active live patches name. */
import { manifestOfLoaded } from '../host/fit.ts';
import { loadedPatches, stateOf } from '../host/live/livepatches.ts';
import { thisMachine } from '../host/machine/machine.ts';
import { readModuleContent } from '../module/content.ts';

/**
 * The CVEs of the given module files; without any, of the patches that are active in the kernel of this release, as
 * `kpatch status` sees them. Errors: `file-unreadable`, those of reading a manifest, for files given by name.
 */
export function coveredBy(files: readonly string[] | undefined, release: string, root = '/'): Set<string> {
  if (files !== undefined) return new Set(files.flatMap((file) => readModuleContent(file).manifest?.cves ?? []));
  const machine = thisMachine(root);
  const active = loadedPatches(machine).filter((patch) => stateOf(patch) === 'enabled');
  const manifests = active.flatMap(({ name }) => manifestOfLoaded(machine, name) ?? []);
  return new Set(manifests.flatMap((manifest) => (manifest.release === release ? manifest.cves : [])));
}
