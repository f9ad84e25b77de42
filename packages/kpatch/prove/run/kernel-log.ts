/** The kernel's log as evidence: what in it is a complaint, what a live patch always prints. */

/** A record of dmesg --raw: the level (0 emergency to 7 debug) and the text. */
export interface LogRecord {
  readonly level: number;
  readonly text: string;
}

/** Printed by every load of a live patch or an unsigned module; no complaint. */
const expected: readonly RegExp[] = [
  /^livepatch: /,
  /tainting kernel with TAINT_LIVEPATCH/,
  /loading out-of-tree module taints kernel/,
  /module verification failed: signature and\/or required key missing - tainting kernel/,
];

/** Texts of kernel complaints, whatever their level. */
const complaints: readonly RegExp[] = [
  /\bWARNING:/,
  /\bBUG\b/,
  /\bOops\b/,
  /Call Trace:/,
  /general protection fault/,
  /possible (circular locking|recursive locking|irq lock inversion)|inconsistent lock state|suspicious RCU usage/,
  /INFO: (task|rcu|lockdep|possible)/,
  /rcu:? .*(stall|self-detected)/,
  /soft lockup|hard LOCKUP/,
  /unreliable stack/,
  /Unpatched return thunk/,
  /refcount_t:/,
  /(KASAN|KFENCE|KCSAN|UBSAN|kmemleak):/,
  /(Redzone|Poison|Object padding|Padding|Left Redzone|Right Redzone) overwritten/i,
  /page allocation failure|Out of memory/,
  /bad page state|list_(add|del) corruption|scheduling while atomic|sleeping function called/i,
  /livepatch: .*(failed|error|not supported|unable)/i,
  /Unknown symbol|disagrees about version|Invalid relocation|section mismatch/,
  /sysfs: cannot create duplicate/,
];

/** Reads `dmesg -r` (or a file of /dev/kmsg); lines without a level are continued records and take the level before. */
export function parseLog(text: string): LogRecord[] {
  const records: LogRecord[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const [, priority, rest] = /^<(\d+)>(.*)$/.exec(line) ?? [];
    const level = priority === undefined ? (records.at(-1)?.level ?? 6) : Number(priority) & 7;
    records.push({ level, text: rest ?? line });
  }
  return records;
}

/** The records that complain: known texts of any level, and errors (level 3 and worse) unless a load always prints them. */
export function complaintsIn(records: readonly LogRecord[]): LogRecord[] {
  return records.filter(({ level, text }) => {
    const message = text.replace(/^\[ *\d+\.\d+\] /, '');
    if (complaints.some((pattern) => pattern.test(message))) return true;
    return level <= 3 && !expected.some((pattern) => pattern.test(message));
  });
}
