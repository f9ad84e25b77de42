/** Finds the package manager of a machine. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../../base/errors/error.ts';
import { keepInside } from '../settings.ts';
import { AptManager } from './apt.ts';
import { DnfManager } from './dnf.ts';
import type { Manager } from './manager.ts';

/**
 * The manager of the machine whose files are below `root`. Errors: `channel-no-manager`; `usage` if a link in an image
 * leads out of it.
 */
export function managerOf(root: string): Manager {
  keepInside(root);
  // A machine of the RHEL family may have dpkg for building, and a Debian machine dnf: what it is made of decides.
  if (existsSync(join(root, 'var/lib/dpkg/status'))) return new AptManager(root);
  if (
    existsSync(join(root, 'usr/bin/dnf')) ||
    existsSync(join(root, 'var/lib/rpm')) ||
    existsSync(join(root, 'usr/lib/sysimage/rpm'))
  ) {
    return new DnfManager(root);
  }
  throw failure('channel-no-manager', { root });
}
