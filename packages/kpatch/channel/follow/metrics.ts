/**
 * The channel's part of `kpatch metrics`: until when this kernel is supported, and whether the channel is still heard from.
 */
import type { Reboot } from './reboot.ts';
import { readSettings } from './settings.ts';
import { readState } from './state.ts';
import { supportOf } from './support.ts';

/** Names and meanings of the channel's metrics; all are gauges. `kpatch_reboot_due` is absent where the answer is unknown. */
export const channelMetrics: Readonly<Record<string, string>> = {
  kpatch_support_end_timestamp_seconds: 'End of the last day of support for this kernel.',
  kpatch_support_days_left: 'Remaining days of support; negative after the end of support.',
  kpatch_reboot_due: '1 if a reboot is due, 0 if live patches keep this kernel fixed.',
  kpatch_channel_published_timestamp_seconds: 'Time of the newest publication that this machine has seen.',
  kpatch_channel_looked_timestamp_seconds: 'Time of the last check of the channel.',
  kpatch_channel_failed: '1 if the last check of the channel failed.',
};

/** The metrics in Prometheus' text format; empty if the machine follows no channel. Never throws. */
export function channelMetricsText(release: string, root = '/', now = new Date(), reboot?: Reboot): string {
  const values = new Map<string, number>();
  const support = supportOf(release, root, now);
  if (support !== undefined) {
    values.set('kpatch_support_end_timestamp_seconds', Date.parse(`${support.until}T00:00:00Z`) / 1000 + 86_400);
    values.set('kpatch_support_days_left', support.daysLeft);
  }
  if (reboot !== undefined && reboot.answer !== 'unknown')
    values.set('kpatch_reboot_due', reboot.answer === 'due' ? 1 : 0);
  if (follows(root)) {
    const state = readState(root);
    const looked = Date.parse(state.looked);
    if (state.newest > 0) values.set('kpatch_channel_published_timestamp_seconds', state.newest);
    if (!Number.isNaN(looked)) values.set('kpatch_channel_looked_timestamp_seconds', Math.floor(looked / 1000));
    values.set('kpatch_channel_failed', state.problem === '' ? 0 : 1);
  }
  const label = `{release="${release.replace(/["\\\n]/g, '')}"}`;
  return [...values]
    .map(([name, value]) => {
      const labels = name.startsWith('kpatch_support') ? label : '';
      return `# HELP ${name} ${channelMetrics[name]}\n# TYPE ${name} gauge\n${name}${labels} ${value}\n`;
    })
    .join('');
}

function follows(root: string): boolean {
  try {
    return readSettings(root) !== undefined;
  } catch {
    return true; // settings that are wrong are settings
  }
}
