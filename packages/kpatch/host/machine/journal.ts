/** Entries of the journal, with fields that journald indexes: `journalctl KPATCH_OUTCOME=reverted`. */
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
  | 'survived';

export interface JournalEntry {
  readonly outcome: JournalOutcome;
  readonly message: string;
  readonly release: string;
  readonly patch?: string;
  /** Of the patch, where its manifest says. */
  readonly version?: number | undefined;
  readonly code?: string;
}

/** Marks all entries of this program, as journald's catalogue wants it; made once for it by `systemd-id128 new`. */
const MESSAGE_ID = '8af635df7d6948568794de20529d56c5';
const bad: readonly JournalOutcome[] = ['reverted', 'left', 'refused', 'failed', 'blocked', 'forced'];

/** Writes one entry; a machine without journald goes without. An image below `--root` has no journal. */
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
