/** The package manager of a machine, as far as following a channel needs it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../../errors/error.ts';
import { AptManager } from './apt.ts';
import { DnfManager } from './dnf.ts';
import { keepInside } from './settings.ts';

/** What the machine's copy of the channel's metadata says of itself. */
export interface Metadata {
  /** Seconds since 1970 of its publication. */
  readonly published: number;
  /** Seconds since 1970 until which it is valid; 0 where it does not say. */
  readonly validUntil: number;
}

export interface Manager {
  readonly name: 'apt' | 'dnf';
  /** Name of the package that carries a kernel's live patches. */
  packageFor(kernel: string): string;
  /** Writes the source of the channel and the key that it is checked with. */
  configure(url: string, armored: string, binary: Uint8Array): Promise<void>;
  /** Removes what `configure` wrote. */
  forget(): void;
  /** Fetches and checks the channel's metadata. Errors: `channel-frozen`, `channel-untrusted`, `channel-inconsistent`, `channel-unreachable`. */
  refresh(): Promise<void>;
  metadata(): Metadata | undefined;
  /** The versions of packages that are installed, by name; all whose name matches. */
  installed(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** The newest versions that the channel offers, by name. */
  available(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Installs or upgrades packages. Errors as `refresh`, and `channel-install`. */
  install(names: readonly string[]): Promise<void>;
}

/** The manager of the machine whose files lie below `root`. Errors: `channel-no-manager`; `usage` where a link in an image leads out of it. */
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
  throw fail('channel-no-manager', { root });
}
