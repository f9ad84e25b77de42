/**
 * Numbers of the system calls that no compiler, linker, archiver or make needs, by machine (arch/x86/entry/syscalls, include/uapi/asm-generic/unistd.h,
 * arch/powerpc and arch/s390/kernel/syscalls of Linux 6.1; numbers never change). They are here and not in platform/, because reading file formats, on which
 * platform/ stands, already needs the sandbox. The machine that matters is the one that kpatch runs on, not the target kernel's.
 */

/** Names, and in the rows below their numbers in this order; `-` where a machine does not have one. */
const names = `
keyctl add_key request_key
bpf perf_event_open
io_uring_setup io_uring_enter io_uring_register userfaultfd
mount umount2 pivot_root move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr chroot swapon swapoff quotactl quotactl_fd acct
ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp migrate_pages move_pages
kexec_load kexec_file_load init_module finit_module delete_module reboot syslog lookup_dcookie nfsservctl uselib vhangup iopl ioperm modify_ldt
settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname
open_by_handle_at name_to_handle_at fanotify_init
unshare setns
`;

interface Row {
  /** `e_machine` of ELF files of this machine. */
  readonly machines: readonly number[];
  readonly numbers: string;
  readonly clone: number;
  readonly clone3: number;
  readonly socket: number;
  /** Index of the argument of clone(2) that has the flags (CONFIG_CLONE_BACKWARDS2 on one machine). */
  readonly cloneFlags: number;
  /** Numbers from here on are those of another ABI (x32). */
  readonly foreign?: number;
}

const rows: readonly Row[] = [
  {
    machines: [62],
    numbers: `
250 248 249
321 298
425 426 427 323
165 166 155 429 428 430 431 432 433 442 161 167 168 179 443 163
101 310 311 438 312 256 279
246 320 175 313 176 169 103 212 180 134 153 172 173 154
164 227 305 159 170 171
304 303 300
272 308
`,
    clone: 56,
    clone3: 435,
    socket: 41,
    cloneFlags: 0,
    foreign: 0x40000000,
  },
  {
    machines: [183, 258],
    numbers: `
219 217 218
280 241
425 426 427 282
40 39 41 429 428 430 431 432 433 442 51 224 225 60 443 89
117 270 271 438 272 238 239
104 294 105 273 106 142 116 18 42 - 58 - - -
170 112 266 171 161 162
265 264 262
97 268
`,
    clone: 220,
    clone3: 435,
    socket: 198,
    cloneFlags: 0,
  },
  {
    machines: [21],
    numbers: `
271 269 270
361 319
425 426 427 364
21 52 203 429 428 430 431 432 433 442 61 87 115 131 443 51
26 351 352 438 354 258 301
268 382 128 353 129 88 103 235 168 86 111 110 101 123
79 245 347 124 74 121
346 345 323
282 350
`,
    clone: 120,
    clone3: 435,
    socket: 326,
    cloneFlags: 0,
  },
  {
    machines: [22],
    numbers: `
280 278 279
351 331
425 426 427 355
21 52 217 429 428 430 431 432 433 442 61 87 115 131 443 51
26 340 341 438 343 287 310
277 381 128 344 129 88 103 110 169 86 111 - - -
79 259 337 124 74 121
336 335 332
303 339
`,
    clone: 120,
    clone3: 435,
    socket: 359,
    cloneFlags: 1,
  },
];

/** What a filter for one machine is made from. */
export interface SystemCalls extends Omit<Row, 'machines' | 'numbers'> {
  readonly denied: readonly number[];
}

/** The numbers of the machine with this `e_machine`; undefined for a machine that is not known. */
export function systemCallsOf(machine: number): SystemCalls | undefined {
  const row = rows.find(({ machines }) => machines.includes(machine));
  if (row === undefined) return undefined;
  const { machines: _, numbers, ...rest } = row;
  const words = numbers.trim().split(/\s+/);
  return { ...rest, denied: words.filter((word) => word !== '-').map(Number) };
}

/** Names of what is denied, for documentation and tests. */
export function deniedNames(): string[] {
  return names.trim().split(/\s+/);
}
