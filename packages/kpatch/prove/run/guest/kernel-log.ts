/** Reads the kernel log: which lines are complaints, and which lines every live patch causes. */

/** A record of dmesg --raw: level (0 emergency to 7 debug) and text. */
export interface LogRecord {
  readonly level: number;
  readonly text: string;
}

/** Printed for every live patch or unsigned module; not a complaint. */
const expected: readonly RegExp[] = [
  /^livepatch: /,
  /tainting kernel with TAINT_LIVEPATCH/,
  /loading out-of-tree module taints kernel/,
  /module verification failed: signature and\/or required key missing - tainting kernel/,
];

/** Texts of kernel complaints at any level. */
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

/** Parses `dmesg -r` (or /dev/kmsg); lines without a level continue the previous record. */
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

/** The complaints: known texts at any level, and errors (level 3 and worse) except those that every load prints. */
export function complaintsIn(records: readonly LogRecord[]): LogRecord[] {
  return records.filter(({ level, text }) => {
    const message = text.replace(/^\[ *\d+\.\d+\] /, '');
    if (complaints.some((pattern) => pattern.test(message))) return true;
    return level <= 3 && !expected.some((pattern) => pattern.test(message));
  });
}
