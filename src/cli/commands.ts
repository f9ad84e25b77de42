/** All commands of `kpatch`, in the order in which help lists them; each file is loaded only when it is called. */
import type { CommandFile } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandFile>;
}

export const commands: readonly CommandEntry[] = [
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
