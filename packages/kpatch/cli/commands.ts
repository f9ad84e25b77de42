/** All commands of `kpatch`, in the order in which help lists them; each file is loaded only when it is called. */
import type { CommandFile } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandFile>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'build',
    summary: 'a live patch from source patches',
    load: () => import('./patch/build.ts'),
  },
  {
    name: 'kernel',
    summary: 'the kernels that are prepared for building: add, list, show, remove',
    load: () => import('./patch/kernel.ts'),
  },
  {
    name: 'cache',
    summary: 'what kpatch keeps on disk: list, size, prune',
    load: () => import('./patch/cache.ts'),
  },
  {
    name: 'doctor',
    summary: 'is this machine fit to build, to prove, to load?',
    load: () => import('./patch/doctor.ts'),
  },
  {
    name: 'advisory',
    summary: 'which CVEs a newer kernel fixes, which the live patch covers',
    load: () => import('./channel/advisory.ts'),
  },
  {
    name: 'package',
    summary: 'a .deb and an .rpm for each patch module',
    load: () => import('./channel/package.ts'),
  },
  {
    name: 'load',
    summary: 'load a patch into the running kernel',
    load: () => import('./host/load.ts'),
  },
  {
    name: 'unload',
    summary: 'switch a patch off and remove it from the running kernel',
    load: () => import('./host/unload.ts'),
  },
  {
    name: 'install',
    summary: 'load a patch and keep it through reboots',
    load: () => import('./host/install.ts'),
  },
  {
    name: 'uninstall',
    summary: 'no longer load a patch at boot',
    load: () => import('./host/uninstall.ts'),
  },
  {
    name: 'list',
    summary: 'loaded and installed patches',
    load: () => import('./host/list.ts'),
  },
  {
    name: 'info',
    summary: 'what a patch is',
    load: () => import('./host/info.ts'),
  },
  {
    name: 'status',
    summary: 'the kernel, its patches, what boots next, and what to do',
    load: () => import('./host/status.ts'),
  },
  {
    name: 'signal',
    summary: 'wake the tasks that hold a transition up',
    load: () => import('./host/signal.ts'),
  },
  {
    name: 'force',
    summary: 'end a transition although tasks are left: the last resort',
    load: () => import('./host/force.ts'),
  },
  {
    name: 'verify',
    summary: 'whether what is stored, recorded and active agree',
    load: () => import('./host/verify.ts'),
  },
  {
    name: 'metrics',
    summary: "the machine's state as Prometheus metrics",
    load: () => import('./host/metrics.ts'),
  },
  {
    name: 'version',
    summary: 'the version of this program',
    load: () => import('./version.ts'),
  },
  {
    name: 'channel',
    summary: 'publish live patches as apt and dnf repositories; follow such a channel',
    load: () => import('./channel/channel.ts'),
  },
  {
    name: 'auto',
    summary: "subscribe every kernel to live patches, today's and later ones",
    load: () => import('./channel/auto.ts'),
  },
  { name: 'manual', summary: 'stop subscribing and updating by itself', load: () => import('./manual.ts') },
  {
    name: 'update',
    summary: 'bring every subscribed kernel to its newest live patch',
    load: () => import('./channel/update.ts'),
  },
  {
    name: 'prove',
    summary: 'show in virtual machines that a patch module holds',
    load: () => import('./patch/prove.ts'),
  },
  {
    name: 'diff',
    summary: 'what changed between two object files, and why',
    load: () => import('./patch/diff.ts'),
  },
];
