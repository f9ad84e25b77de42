/** What the user uninstalled: no update, package script or timer installs it again until the user does. */
import type { Machine } from '../machine/machine.ts';
import { lineOf, type ModuleFile } from './module-file.ts';
import { changeIndex, folderOf, type InstalledPatch, manifestOfInstalled } from './store.ts';
import { readIndex, type Unwanted } from './store-index.ts';

/** When the module, or the one that it is a successor of, was uninstalled; `undefined` if it was not. Never throws. */
export function unwantedSince(machine: Machine, module: ModuleFile): string | undefined {
  return unwantedOf(machine, module.release).find((one) => concerns(one, module))?.at;
}

/** What is not wanted for a release. Never throws. */
export function unwantedOf(machine: Machine, release: string): readonly Unwanted[] {
  try {
    const index = readIndex(folderOf(machine, release));
    return index === 'damaged' ? [] : (index.unwanted ?? []);
  } catch {
    return []; // not a release that a folder can have
  }
}

/** Records that the user took a patch out. Take the store's lock first. Errors: those of writing the index. */
export function recordUnwanted(machine: Machine, patch: InstalledPatch): void {
  const manifest = manifestOfInstalled(patch);
  const wish: Unwanted = {
    name: patch.name,
    sha256: patch.sha256 ?? '',
    ...(manifest?.replace ? { line: lineOf(manifest) } : {}),
    at: machine.clock.date().toISOString(),
  };
  changeIndex(machine, patch.release, (index) => {
    const others = (index.unwanted ?? []).filter(({ name }) => name !== patch.name);
    return { ...index, unwanted: [...others, wish] };
  });
}

/** Forgets the wishes that concern a module, because the user installs it. Errors: those of writing the index. */
export function forgetUnwanted(machine: Machine, module: ModuleFile): void {
  if (unwantedSince(machine, module) === undefined) return;
  changeIndex(machine, module.release, ({ unwanted = [], ...index }) => {
    const left = unwanted.filter((one) => !concerns(one, module));
    return left.length === 0 ? index : { ...index, unwanted: left };
  });
}

function concerns(one: Unwanted, { name, sha256, manifest }: ModuleFile): boolean {
  if (one.name === name || one.sha256 === sha256) return true;
  return one.line !== undefined && manifest?.replace === true && lineOf(manifest) === one.line;
}
