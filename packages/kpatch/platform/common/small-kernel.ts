/**
 * A kernel that the project configures and builds itself (`make machines`): as small as one that can be patched and proven can be.
 * Distributions enable live patching on few machines, so the others need such a kernel to be tried at all.
 */
export interface SmallKernel {
  /** Options (without CONFIG_) beside `commonOptions`, as `NAME`, `NAME=m` or `NAME=n`. */
  readonly options: readonly string[];
  /** The target of make that makes the boot image, and the image below the folder of the build. */
  readonly target: string;
  readonly image: string;
}

/** `NAME`, `NAME=m` and `NAME=n` in one text. */
export function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

/** What is set beside `make tinyconfig` for every machine; all else follows from it. */
export const commonOptions: readonly string[] = words(`
SMP EXPERT MULTIUSER FUTEX POSIX_TIMERS HIGH_RES_TIMERS NO_HZ_IDLE BINFMT_ELF BINFMT_SCRIPT BLK_DEV_INITRD RD_GZIP
PRINTK PRINTK_TIME BUG TTY UNIX98_PTYS MAGIC_SYSRQ PROC_FS PROC_SYSCTL SYSFS DEVTMPFS TMPFS SHMEM DEBUG_KERNEL DEBUG_FS
EPOLL EVENTFD SIGNALFD TIMERFD AIO ADVISE_SYSCALLS FILE_LOCKING INOTIFY_USER SYSVIPC POSIX_MQUEUE MEMBARRIER RSEQ COREDUMP
MODULES MODULE_UNLOAD MODVERSIONS KALLSYMS KALLSYMS_ALL FTRACE FUNCTION_TRACER DYNAMIC_FTRACE STACKTRACE LIVEPATCH KPROBES
JUMP_LABEL PERF_EVENTS CC_OPTIMIZE_FOR_PERFORMANCE STACKPROTECTOR STACKPROTECTOR_STRONG SLUB SLUB_DEBUG VM_EVENT_COUNTERS
IKCONFIG IKCONFIG_PROC NET UNIX INET BLOCK BLK_DEV
VIRTIO_MENU VIRTIO_PCI=m VIRTIO_BLK=m BINFMT_MISC=m EXT2_FS=m
CC_OPTIMIZE_FOR_SIZE=n SLUB_TINY=n RD_BZIP2=n RD_LZMA=n RD_XZ=n RD_LZO=n RD_LZ4=n RD_ZSTD=n VT=n HID=n INPUT=n WERROR=n
DEBUG_INFO=n`);

/** Options as lines of a configuration. Of several of one name the last one wins. */
export function configurationText(options: readonly string[]): string {
  const values = new Map<string, string>();
  for (const option of options) {
    const [name = '', value = 'y'] = option.split('=');
    values.set(name, value);
  }
  const lines = [...values].map(([name, value]) =>
    value === 'n' ? `# CONFIG_${name} is not set` : `CONFIG_${name}=${value}`,
  );
  return `${lines.join('\n')}\n`;
}
