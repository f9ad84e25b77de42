/** `package-lock.json` (version 3): what is pinned, and which of it a program needs when it runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './executable.ts';

export interface LockedPackage {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
  /** The folder that a link leads to, for a package of the workspace. */
  readonly resolved?: string;
  readonly link?: boolean;
}

/** What the lock file of this checkout pins, by folder. */
export function lockedPackages(): Readonly<Record<string, LockedPackage>> {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  return lock.packages;
}

/**
 * Folders of the packages that those in `roots` need, without what only development needs, as the lock file names them, sorted. Packages of the workspace
 * are followed and not listed. Error: a dependency that the lock file does not have, unless it is optional.
 */
export function closure(packages: Readonly<Record<string, LockedPackage>>, roots: readonly string[]): string[] {
  const seen = new Set<string>();
  const visit = (folder: string): void => {
    if (seen.has(folder)) return;
    seen.add(folder);
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = packages[folder]!;
    const peers = Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true);
    for (const name of [...Object.keys(dependencies ?? {}), ...peers, ...Object.keys(optionalDependencies ?? {})]) {
      const found = resolve(packages, folder, name);
      if (found !== undefined) visit(found);
      else if (optionalDependencies?.[name] === undefined)
        throw new Error(`${folder} needs ${name}, which the lock file does not have`);
    }
  };
  for (const root of roots) visit(root);
  return [...seen].filter((folder) => folder.includes('node_modules/')).sort();
}

/** Node's way from a folder outwards; the folder that a link of the workspace leads to. */
function resolve(packages: Readonly<Record<string, LockedPackage>>, folder: string, name: string): string | undefined {
  for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    const candidate = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    const found = packages[candidate];
    if (found?.link === true) return found.resolved;
    if (found !== undefined) return candidate;
    if (at === '') return undefined;
  }
}
