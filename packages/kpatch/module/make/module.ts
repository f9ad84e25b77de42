/** A livepatch module from the differences of its compilation units: glue, link, livepatch relocations, manifest. */

import { temporaryFolder } from '../../base/files.ts';
import type { UnitPatch } from '../../differ/patch.ts';
import { readObject } from '../../formats/elf/read-object.ts';
import { writeObject } from '../../formats/elf/write-object.ts';
import { kernelFolders } from '../../kernel/folders.ts';
import type { TargetKernel } from '../../kernel/target.ts';
import type { KernelRules } from '../../platform/kernel-rules.ts';
import { requirePlatform } from '../../platform/registry.ts';
import { compilerArguments } from '../../toolchain/compiler.ts';
import { addManifest, type Manifest } from '../manifest.ts';
import { livepatchInterface, printGlue } from './glue.ts';
import { dropSections, makeLivepatchRelocations } from './klp.ts';
import { linkModule, type RecipeInput } from './link.ts';
import { prepareParts, removeAliases } from './parts.ts';
import { takePlaces } from './places.ts';

export interface ModuleInput {
  readonly kernel: TargetKernel;
  readonly rules: KernelRules;
  readonly manifest: Manifest;
  readonly patches: readonly UnitPatch[];
  /** Namespaces of exported symbols that the parts use. */
  readonly namespaces: readonly string[];
  /** See `LinkInput.settings`. */
  readonly settings: readonly string[];
  /** See `LinkInput.recipe`. */
  readonly recipe: RecipeInput;
}

export interface FinishedModule {
  /** The module, unsigned. */
  readonly bytes: Uint8Array;
  /** The C source of the glue code. */
  readonly glue: string;
}

/**
 * Makes the module. The same input gives the same bytes.
 * Errors: `intermediate-malformed`, `module-link-failed`, `klp-symbol-unnameable`, `klp-relocation-crosses`.
 */
export async function makeModule(input: ModuleInput): Promise<FinishedModule> {
  const { kernel, rules, manifest } = input;
  const parts = prepareParts(input.patches);
  const glue = printGlue(
    {
      name: manifest.name,
      description: `Live patch ${manifest.name} version ${manifest.version} for Linux ${manifest.release}`,
      replace: manifest.replace,
      objects: parts.glue,
      states: manifest.states,
      namespaces: input.namespaces,
      modinfo: modinfoOf(manifest),
    },
    livepatchInterface(rules, requirePlatform('uname', kernel.arch).loader),
  );
  using folder = temporaryFolder('kpatch-link-');
  const linked = await linkModule({
    folder: folder.path,
    headers: kernel.paths.headers,
    folders: kernelFolders(kernel.paths),
    compiler: compilerArguments(kernel.compiler),
    buildRoot: kernel.compiler.root,
    name: manifest.name,
    glue,
    objects: parts.objects,
    settings: input.settings,
    recipe: input.recipe,
  });
  const object = readObject(linked, `${manifest.name}.ko`);
  removeAliases(object);
  makeLivepatchRelocations(object, takePlaces(object, parts.relocations), rules);
  // Debug information is of the build's own files (.mod.c); none of the patch's is kept.
  dropSections(object, ({ name }) => name.startsWith('.debug_'));
  addManifest(object, manifest);
  return { bytes: writeObject(object), glue };
}

/** What modinfo(8) shows of the manifest. */
function modinfoOf(manifest: Manifest): [string, string][] {
  const { version, release, buildId, cves } = manifest;
  return [
    ['kpatch_version', String(version)],
    ['kpatch_release', release],
    ...(buildId === undefined ? [] : ([['kpatch_build_id', buildId]] as [string, string][])),
    ...(cves.length === 0 ? [] : ([['kpatch_cves', cves.join(' ')]] as [string, string][])),
  ];
}
