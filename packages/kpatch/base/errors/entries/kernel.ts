import { table } from '../entry.ts';

/** Errors of the room `kernel/`. */
export const kernelErrors = table({
  'kernel-unknown': {
    exit: 1,
    what: 'no kernel {release} is installed here or offered by the package sources',
    why: 'a live patch is built for exactly one kernel release and needs its image, headers and source',
    fix: 'check the spelling against `uname -r` of the target machine; kernels known here: {known}',
  },
  'kernel-part-missing': {
    exit: 1,
    what: 'the kernel {release} was found, but not its {part} ({package})',
    why: 'image, headers and source must be of the same build for the compiled code to be the same',
    fix: 'give it with --image, --headers and --source, or add a package source that still keeps {package}',
  },
  'kernel-download': {
    exit: 1,
    what: 'could not download {package}',
    why: 'the kernel cannot be prepared without it; what was fetched before is kept',
    fix: 'check the network and the package sources (apt-get update), then run the command again',
  },
  'kernel-release-mismatch': {
    exit: 1,
    what: 'the {part} is of {found}, not of {wanted}',
    why: 'code compiled with parts of two different kernels would crash the target',
    fix: 'give image, headers and source of one and the same build',
  },
  'kernel-source-mismatch': {
    exit: 1,
    what: 'the source is that of version {found}, but the kernel image was built from {wanted}',
    why: 'a patch would be built against code that the target does not run',
    fix: 'install the source of version {wanted}, or give it with --source',
  },
  'kernel-no-livepatch': {
    exit: 4,
    what: 'the kernel {release} was built without {option}',
    why: 'it cannot load any live patch',
    fix: 'boot a kernel whose configuration has {option}',
  },
  'kernel-prepare-failed': {
    exit: 1,
    what: 'preparing the source of {release} failed',
    why: "the kernel's own build tools are needed to compile a single file as its vendor did",
    fix: 'read the message of make below; `kpatch doctor` lists the packages that are needed',
  },
  'kernel-config-drift': {
    exit: 1,
    what: 'preparing changed the configuration of {release}: {option} is {found} instead of {wanted}',
    why: 'one different option can change the layout of structures, so the code would not fit the target',
    fix: 'report this; nothing was kept',
  },
  'kernel-not-prepared': {
    exit: 3,
    what: 'the kernel {release} is not prepared here',
    why: 'there is nothing to show or to remove',
    fix: 'prepare it with `kpatch kernel add {release}`',
  },
  'kernel-compiler': {
    exit: 4,
    what: 'the kernel was built by "{wanted}", and the compiler here is "{found}"',
    why: 'another compiler may lay out and inline code differently, so that patched and running code do not fit together',
    fix: 'install that compiler ({command}), or accept the difference with --skip-compiler-check',
  },
  'kernel-image-format': {
    exit: 1,
    what: '{file} is not a kernel image that can be read: {reason}',
    why: 'the symbols and the code of the running kernel are taken from it',
    fix: 'give the vmlinuz (or vmlinux) file of the target kernel; x86-64 bzImage and ELF are known',
  },
  'kernel-kallsyms': {
    exit: 1,
    what: 'no table of kernel symbols can be found in {file}: {reason}',
    why: 'addresses and positions of symbols are taken from it, and a guess would be dangerous',
    fix: 'the kernel needs CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y; otherwise report the kernel version',
  },
  'kernel-symvers': {
    exit: 1,
    what: '{file} line {line} is not a line of Module.symvers',
    why: 'the CRCs of exported symbols are taken from it',
    fix: 'install the headers package again',
  },
  'kernel-module-unknown': {
    exit: 1,
    what: 'the kernel {release} has no module {module}',
    why: 'its code and symbols are needed',
    fix: 'check the name; `kpatch kernel show {release} --modules` lists them',
  },
});
