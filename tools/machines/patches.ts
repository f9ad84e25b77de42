/** The two patches that are tried on every machine, each with its test: one of vmlinux, one of a module. */

export interface Trial {
  readonly title: 'vmlinux' | 'module';
  readonly file: string;
  readonly edit: (text: string) => string;
  /** Runs in the guest before, with and after the patch; passes where the patch is at work. */
  readonly test: string;
}

export const trials: readonly Trial[] = [
  {
    title: 'vmlinux',
    file: 'fs/proc/meminfo.c',
    edit: (text) => text.replace('"VmallocChunk:   ", 0ul', '"VmallocChunk:   ", 4242ul'),
    test: '#!/bin/sh\ngrep VmallocChunk /proc/meminfo\ngrep -q "^VmallocChunk: *[1-9]" /proc/meminfo\n',
  },
  {
    title: 'module',
    file: 'fs/binfmt_misc.c',
    edit: (text) => text.replace('"enabled\\n"', '"enabled, patched\\n"'),
    test: `#!/bin/sh
# needs: module binfmt_misc
modprobe binfmt_misc
mkdir -p /run/misc
mount -t binfmt_misc none /run/misc || exit 2
cat /run/misc/status
grep -q patched /run/misc/status
status=$?
umount /run/misc
exit $status
`,
  },
];
