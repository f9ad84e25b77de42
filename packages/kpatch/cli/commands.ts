/** All commands of `kpatch`, in the order of the help text. The file of a command is imported only when it runs. */
import type { CommandFile } from './command.ts';

/** Headings of the help, in its order. */
export const groups = {
  make: 'Make live patches:',
  host: 'On this machine:',
  channel: 'Updates and channels:',
  fleet: 'Fleets:',
  other: 'Other:',
} as const;

export interface CommandEntry {
  readonly name: string;
  readonly group: keyof typeof groups;
  readonly summary: string;
  readonly load: () => Promise<CommandFile>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'build',
    group: 'make',
    summary: 'build a live patch from source patches',
    load: () => import('./patch/build.ts'),
  },
  {
    name: 'try',
    group: 'make',
    summary: 'open a shell in a virtual machine that runs the patched kernel',
    load: () => import('./patch/try.ts'),
  },
  {
    name: 'prove',
    group: 'make',
    summary: 'test a livepatch module in virtual machines and write a proof',
    load: () => import('./patch/prove.ts'),
  },
  {
    name: 'reproduce',
    group: 'make',
    summary: 'rebuild a module from its recorded inputs and compare the bytes',
    load: () => import('./patch/reproduce.ts'),
  },
  {
    name: 'diff',
    group: 'make',
    summary: 'show what changed between two object files, and why',
    load: () => import('./patch/diff.ts'),
  },
  {
    name: 'review',
    group: 'make',
    summary: 'report what is wrong with a patch although it would load',
    load: () => import('./patch/review.ts'),
  },
  {
    name: 'rewrite',
    group: 'make',
    summary: 'turn a refused patch into one that can be live patched',
    load: () => import('./patch/rewrite.ts'),
  },
  {
    name: 'shield',
    group: 'make',
    summary: 'refuse calls of a vulnerable function until the fix is there',
    load: () => import('./patch/shield.ts'),
  },
  {
    name: 'kernel',
    group: 'make',
    summary: 'manage the kernels prepared for building: add, list, show, remove',
    load: () => import('./kernel/kernel.ts'),
  },
  {
    name: 'cache',
    group: 'make',
    summary: 'manage the files that kpatch keeps on disk: list, size, prune',
    load: () => import('./kernel/cache.ts'),
  },
  {
    name: 'status',
    group: 'host',
    summary: 'show the kernel, its patches, what the next boot loads, and what to do',
    load: () => import('./host/show/status.ts'),
  },
  {
    name: 'load',
    group: 'host',
    summary: 'load a patch into the running kernel',
    load: () => import('./host/load.ts'),
  },
  {
    name: 'unload',
    group: 'host',
    summary: 'disable a patch and remove it from the running kernel',
    load: () => import('./host/unload.ts'),
  },
  {
    name: 'install',
    group: 'host',
    summary: 'load a patch now and at every boot',
    load: () => import('./host/install.ts'),
  },
  {
    name: 'uninstall',
    group: 'host',
    summary: 'stop loading a patch at boot',
    load: () => import('./host/uninstall.ts'),
  },
  {
    name: 'rollback',
    group: 'host',
    summary: 'go back to the live patch that was active or installed before',
    load: () => import('./host/rollback.ts'),
  },
  {
    name: 'list',
    group: 'host',
    summary: 'list loaded and installed patches',
    load: () => import('./host/show/list.ts'),
  },
  { name: 'info', group: 'host', summary: 'show the contents of a patch', load: () => import('./host/show/info.ts') },
  {
    name: 'signal',
    group: 'host',
    summary: 'signal the tasks that block a transition',
    load: () => import('./host/signal.ts'),
  },
  {
    name: 'force',
    group: 'host',
    summary: 'complete a transition without waiting for tasks: last resort',
    load: () => import('./host/force.ts'),
  },
  {
    name: 'verify',
    group: 'host',
    summary: 'check that installed, recorded and active patches are consistent',
    load: () => import('./host/show/verify.ts'),
  },
  {
    name: 'policy',
    group: 'host',
    summary: 'what this machine accepts: show the rules, check them',
    load: () => import('./host/policy.ts'),
  },
  {
    name: 'cves',
    group: 'host',
    summary: 'show for each CVE whether this kernel is affected, fixed or not concerned, and why',
    load: () => import('./cve/cves.ts'),
  },
  {
    name: 'effective',
    group: 'host',
    summary: 'show up to which newer kernel release everything is fixed here',
    load: () => import('./cve/effective.ts'),
  },
  {
    name: 'metrics',
    group: 'host',
    summary: 'print the state of this machine as Prometheus metrics',
    load: () => import('./host/show/metrics.ts'),
  },
  {
    name: 'advisory',
    group: 'channel',
    summary: 'show which CVEs a newer kernel fixes and which the live patch covers',
    load: () => import('./channel/advisory.ts'),
  },
  {
    name: 'update',
    group: 'channel',
    summary: 'update every subscribed kernel to its newest live patch',
    load: () => import('./channel/update.ts'),
  },
  {
    name: 'auto',
    group: 'channel',
    summary: 'subscribe all kernels, present and future, to automatic updates',
    load: () => import('./channel/auto.ts'),
  },
  { name: 'manual', group: 'channel', summary: 'turn automatic updates off', load: () => import('./manual.ts') },
  {
    name: 'channel',
    group: 'channel',
    summary: 'publish live patches as TUF, apt and dnf repositories, or follow such a channel',
    load: () => import('./channel/channel.ts'),
  },
  {
    name: 'package',
    group: 'channel',
    summary: 'build a .deb and an .rpm for each livepatch module',
    load: () => import('./channel/package.ts'),
  },
  {
    name: 'fleet',
    group: 'fleet',
    summary: 'belong to a fleet: join, leave, show',
    load: () => import('./fleet/fleet.ts'),
  },
  {
    name: 'report',
    group: 'fleet',
    summary: 'tell the fleet server what runs on this machine',
    load: () => import('./fleet/report.ts'),
  },
  {
    name: 'doctor',
    group: 'other',
    summary: 'check whether this machine can build, prove and load live patches',
    load: () => import('./kernel/doctor.ts'),
  },
  { name: 'version', group: 'other', summary: 'print the version of kpatch', load: () => import('./version.ts') },
];
