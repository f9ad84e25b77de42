/** All commands of `kpatch`, in the order in which help lists them; each file is loaded only when it is called. */
import type { CommandFile } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandFile>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'kernel',
    summary: 'the kernels that are prepared for building: add, list, show, remove',
    load: () => import('./kernel.ts'),
  },
  {
    name: 'doctor',
    summary: 'is this machine fit to build, to prove, to load?',
    load: () => import('./doctor.ts'),
  },
  {
    name: 'advisory',
    summary: 'which CVEs a newer kernel fixes, which the live patch covers',
    load: () => import('./advisory.ts'),
  },
  {
    name: 'package',
    summary: 'a .deb and an .rpm for each patch module',
    load: () => import('./package.ts'),
  },
];
