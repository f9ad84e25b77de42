/** Writes entries to the journal with fields that journald indexes: `journalctl KPATCH_OUTCOME=reverted`. */
import type { Machine } from './machine.ts';

export type JournalOutcome =
  | 'loaded'
  | 'reverted'
  | 'left'
  | 'refused'
  | 'failed'
  | 'unloaded'
  | 'installed'
  | 'uninstalled'
  | 'blocked'
  | 'forced'
  | 'survived'
  | 'alarm';

export interface JournalEntry {
  readonly outcome: JournalOutcome;
  readonly message: string;
  readonly release: string;
  readonly patch?: string;
  /** Version of the patch, if it has a manifest. */
  readonly version?: number | undefined;
  readonly code?: string;
}

/** MESSAGE_ID of all entries (systemd.journal-fields(7)), generated with `systemd-id128 new`. */
const MESSAGE_ID = '8af635df7d6948568794de20529d56c5';
const bad: readonly JournalOutcome[] = ['reverted', 'left', 'refused', 'failed', 'blocked', 'forced', 'alarm'];

/** Writes one entry. Does nothing on a machine without journald or for an image under `--root`. */
export async function journal(machine: Machine, entry: JournalEntry): Promise<void> {
  if (machine.offline) return;
  await machine.control.journal({
    MESSAGE: entry.message,
    MESSAGE_ID,
    // syslog(3): 3 error, 5 notice.
    PRIORITY: bad.includes(entry.outcome) ? '3' : '5',
    SYSLOG_IDENTIFIER: 'kpatch',
    KPATCH_OUTCOME: entry.outcome,
    KPATCH_RELEASE: entry.release,
    ...(entry.patch === undefined ? {} : { KPATCH_PATCH: entry.patch }),
    ...(entry.version === undefined ? {} : { KPATCH_VERSION: String(entry.version) }),
    ...(entry.code === undefined ? {} : { KPATCH_ERROR: entry.code }),
  });
}
