/** Fedora and RHEL with its kin (Alma, Rocky, CentOS Stream): kernels through dnf, for another release than this machine's. */
import { givenMirror } from '../../base/workspace.ts';
import type { ArchiveOptions, Distribution } from '../distribution.ts';
import { dnfProvider } from './dnf.ts';

function dnfArguments(version: string, { mirror }: ArchiveOptions): string[] {
  // Only the given archive: this machine's repositories are for its own release.
  const source = mirror ?? givenMirror();
  const only = source === undefined ? [] : [`--repofrompath=kpatch,${source}`, '--repo=kpatch'];
  return [`--releasever=${version}`, ...only];
}

export const fedora: Distribution = {
  id: 'fedora',
  title: 'Fedora',
  packageType: 'rpm',
  versions: ['42', '43', '44'],
  versionsOf(kernel) {
    const version = /\.fc(\d+)\./.exec(kernel)?.[1];
    return version === undefined ? [] : [version];
  },
  provider: (version, options) => dnfProvider({ arguments: dnfArguments(version, options) }),
};

export const rhel: Distribution = {
  id: 'rhel',
  title: 'RHEL and its kin',
  packageType: 'rpm',
  versions: ['8', '9', '10'],
  versionsOf(kernel) {
    const version = /\.el(\d+)(?:_\d+)?\./.exec(kernel)?.[1];
    return version === undefined ? [] : [version];
  },
  provider: (version, options) => dnfProvider({ arguments: dnfArguments(version, options) }),
};
