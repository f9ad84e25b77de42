/**
 * Is a reboot due, as far as the host itself knows (channel/follow/reboot.ts adds the end of support)? A newer kernel that is installed is no reason by itself while live patches keep the running one fixed: tools
 * such as needrestart and `/run/reboot-required` ask for a reboot after every kernel package. A reboot is due if the running
 * kernel gets no fixes any more, or if what is installed for it does not run.
 */
import { join } from 'node:path';
import { numberAttribute } from './machine/attribute.ts';
import type { Machine } from './machine/machine.ts';
import { runningKernel } from './machine/running-kernel.ts';
import { type Status, statusOf } from './status.ts';
import { releasesIn } from './store/store.ts';

/** TAINT_DIE of include/linux/panic.h: after an oops nothing in the kernel can be relied on. */
const TAINT_DIE = 1 << 7;

/** Why a reboot is due, as a sentence; undefined if it is not. Never throws. */
export function rebootDue(
  machine: Machine,
  { patches, blocked }: Pick<Status, 'patches' | 'blocked'> = statusOf(machine),
): string | undefined {
  const { release, livepatch } = runningKernel(machine);
  if (release === '') return undefined;
  const tainted = numberAttribute(join(machine.proc, 'sys/kernel/tainted')) ?? 0;
  if ((tainted & TAINT_DIE) !== 0) return 'The running kernel has survived an oops.';
  const others = releasesIn(machine).filter((other) => other !== release);
  if (!livepatch && others.length > 0)
    return `${release} does not support live patches, and a kernel that has some is installed.`;
  const active = patches.some(({ state }) => state === 'enabled');
  if (!active && blocked.length > 0)
    return `The boot guard blocks the live patch of ${release}, so its flaws are open.`;
  return undefined;
}
