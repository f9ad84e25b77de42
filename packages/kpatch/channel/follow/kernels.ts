/** The kernels that are installed on a machine. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runningRelease } from '../../advisory/kernel.ts';
import { compareBy } from '../../advisory/version.ts';
import { isRelease } from '../patch-module.ts';

/** Releases of the installed kernels, newest first; the running one is among them also where its files are gone. */
export function installedKernels(root: string): string[] {
  const releases = new Set<string>();
  const boot = join(root, 'boot');
  for (const name of existsSync(boot) ? readdirSync(boot) : []) {
    const release = /^vmlinuz-(.+)$/.exec(name)?.[1];
    if (release !== undefined && !/rescue/.test(release)) releases.add(release);
  }
  const modules = join(root, 'lib/modules');
  for (const release of existsSync(modules) ? readdirSync(modules) : []) {
    if (existsSync(join(modules, release, 'vmlinuz'))) releases.add(release);
  }
  const running = root === '/' ? runningRelease() : '';
  if (running !== '') releases.add(running);
  return [...releases].filter(isRelease).sort(compareBy('deb')).reverse();
}
