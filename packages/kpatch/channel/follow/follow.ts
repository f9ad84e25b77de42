/** Following a channel: by TUF, where kpatch fetches and verifies data itself, or by the packages of apt or dnf. */
import type { Reporter } from '../../base/report.ts';
import { silentReporter } from '../../base/report.ts';
import { requireChannel, requireUpdate } from '../../host/acceptance/channel-rule.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { packagesStatus, updatePackages } from './packages.ts';
import { needSettings, writeSettings } from './settings.ts';
import type { ChannelStatus, Updated } from './status.ts';
import { type TufUpdateOptions, updateTuf } from './tuf/follow.ts';
import { tufStatus } from './tuf/status.ts';
import { disableUnits, enableUnits } from './units.ts';

/** Every kernel, those of today and those to come, gets its live patch without asking; in a fleet the one that its server chose. */
export async function auto(root: string, report = silentReporter(), options: TufUpdateOptions = {}): Promise<Updated> {
  const { source } = needSettings(root);
  writeSettings(root, { mode: 'auto' });
  await enableUnits(root, source);
  return update(root, [], false, report, options);
}

/** New kernels are no longer subscribed by themselves; what is subscribed stays so. */
export async function manual(root: string): Promise<void> {
  needSettings(root);
  writeSettings(root, { mode: 'manual' });
  await disableUnits(root);
}

/**
 * Brings every subscribed kernel to the newest live patch; in mode `auto`, or for the kernels named, subscribes first.
 * Errors: `channel-not-followed`, `channel-not-allowed`, `update-not-allowed`, those of the way it follows; the machine then
 * keeps what it has.
 */
export function update(
  root: string,
  subscribe: readonly string[] = [],
  dryRun = false,
  report: Reporter = silentReporter(),
  options: TufUpdateOptions = {},
): Promise<Updated> {
  const settings = needSettings(root);
  const machine = thisMachine(root);
  requireChannel(machine, settings.url);
  requireUpdate(machine);
  return settings.source === 'tuf'
    ? updateTuf(root, settings, subscribe, dryRun, report, options)
    : updatePackages(root, settings, subscribe, dryRun, report);
}

/** How far this machine has got with its channel. Nothing is fetched. */
export function status(root: string, now = new Date()): Promise<ChannelStatus> {
  const settings = needSettings(root);
  return settings.source === 'tuf' ? tufStatus(root, settings, now) : packagesStatus(root, settings, now);
}
