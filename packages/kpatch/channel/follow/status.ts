/** What the commands that follow a channel give back, whichever way it is followed. */
import type { Support } from './support.ts';

export interface KernelState {
  readonly release: string;
  readonly running: boolean;
  /** Name of the package; by TUF the release itself. */
  readonly package: string;
  /** Version that is installed; empty if the kernel is not subscribed. */
  readonly installed: string;
  /** Newest version in the channel, as far as this machine has seen; empty if the channel does not know the kernel. */
  readonly available: string;
  /** Version of the patch that the running kernel has loaded; empty if it is none of the channel's. */
  readonly loaded: string;
  readonly support: Support | undefined;
}

export interface ChannelStatus {
  readonly url: string;
  readonly mode: 'auto' | 'manual';
  readonly manager: 'apt' | 'dnf' | 'tuf';
  readonly timer: boolean;
  /** ISO 8601 UTC; empty if nothing has been fetched yet. */
  readonly published: string;
  readonly validUntil: string;
  readonly looked: string;
  readonly kernels: readonly KernelState[];
  /** What needs attention, one sentence each. */
  readonly problems: readonly string[];
}

export interface Updated {
  readonly changes: readonly { readonly package: string; readonly from: string; readonly to: string }[];
  /** Kernels that are installed and that the channel does not know. */
  readonly unknown: readonly string[];
  /** Patches that this machine has and does not use, each with the reason. */
  readonly waiting: readonly string[];
}
