/** Until when the kernels of a machine receive live patches, as its channel says: by TUF, or in the package `kpatch-channel`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJSON } from '../../base/plain.ts';
import { storedDocument } from '../../documents/form.ts';
import { clientFolder } from '../client-names.ts';
import { dayOf, daysBetween, stateOn, type WindowState } from '../repository/window.ts';

export interface Support {
  readonly release: string;
  /** The last day, `YYYY-MM-DD`. */
  readonly until: string;
  readonly state: WindowState;
  /** Days that are left; negative once it has ended. */
  readonly daysLeft: number;
  /** The kernel to reboot into; null where this is the newest of its line. */
  readonly rebootInto: string | null;
  readonly channel: string;
}

/** The window of a kernel; `undefined` where the machine follows no channel, or one that does not know the kernel. Total. */
export function supportOf(release: string, root = '/', now = new Date()): Support | undefined {
  const files = [join(root, 'var/lib/kpatch/channel/kernels.json'), join(root, clientFolder, 'kernels.json')];
  const file = files.find((path) => existsSync(path));
  if (file === undefined) return undefined;
  try {
    const { channel, kernels } = storedDocument('kpatch.channel-kernels/1', readJSON(file));
    const kernel = kernels.find((one) => one.release === release);
    if (kernel === undefined) return undefined;
    const { until, rebootInto } = kernel;
    const today = dayOf(now);
    return {
      release,
      until,
      state: stateOn(today, until),
      daysLeft: daysBetween(today, until),
      rebootInto,
      channel: channel?.name ?? '',
    };
  } catch {
    return undefined;
  }
}

/** The window in one sentence, with what to do. */
export function supportText(support: Support): string {
  const { until, state, daysLeft, rebootInto } = support;
  const days = `${Math.abs(daysLeft)} day${Math.abs(daysLeft) === 1 ? '' : 's'}`;
  const into = rebootInto ?? 'a newer kernel when one is available';
  if (state === 'ended') {
    const now = rebootInto === null ? 'when a newer kernel is available' : `into ${rebootInto} now`;
    return `no live patches since ${until} (${days} ago): reboot ${now}`;
  }
  if (state === 'ending') return `live patches until ${until}, ${days} left: reboot into ${into} by then`;
  return `live patches until ${until}${rebootInto === null ? '' : `; reboot into ${rebootInto} by then`}`;
}
