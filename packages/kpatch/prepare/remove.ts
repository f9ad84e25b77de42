/** Removing a prepared kernel. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { lock } from '../base/process/lock.ts';
import type { PackageVersion, TargetKernel } from '../kernel/target.ts';
import {
  cachedReleases,
  derivedFolders,
  emptyTrash,
  kernelFolder,
  kernelLock,
  packagesFolder,
  packagesLock,
  removeFolder,
} from './cache.ts';
import { describedKernel } from './manifest.ts';

/** A lock that was just let go of takes a moment to be free. */
const REMOVE_WAIT_MS = 3000;

/**
 * Removes a prepared kernel and what was derived from it; with `packages` also the packages that were downloaded for it and
 * that no other prepared kernel was made from. Errors: `kernel-not-prepared`, `locked` while it is being prepared or used.
 */
export async function removeKernel(key: string, { packages = false } = {}): Promise<void> {
  if (!cachedReleases().includes(key)) throw failure('kernel-not-prepared', { release: key });
  using _held = await lock(kernelLock(key), `the kernel ${key}`, { waitMs: REMOVE_WAIT_MS });
  const kernel = describedKernel(key);
  await removeFolder(kernelFolder(key));
  await emptyTrash();
  if (kernel === undefined) return;
  for (const folder of derivedFolders(key)) await removeFolder(folder);
  if (!packages) return;
  using _packages = await lock(packagesLock(), 'the downloaded packages', { waitMs: REMOVE_WAIT_MS });
  removePackages(kernel);
}

function removePackages({ release, packages }: TargetKernel): void {
  const id = ({ name, version }: PackageVersion): string => `${name}_${version.replace(':', '%3a')}_`;
  const others = cachedReleases().flatMap((key) => describedKernel(key)?.packages ?? []);
  const kept = new Set(others.map(id));
  const ours = packages.map(id).filter((prefix) => !kept.has(prefix));
  const folder = packagesFolder();
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (name === release || ours.some((prefix) => name.startsWith(prefix))) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}
