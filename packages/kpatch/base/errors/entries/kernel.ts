import { table } from '../entry.ts';

/** Errors of `kernel/`. */
export const kernelErrors = table({
  'kernel-not-chosen': {
    exit: 2,
    what: 'no target kernel: {problem}',
    why: 'a live patch fits one kernel release only',
    fix: 'choose the kernel with --kernel RELEASE',
  },
  'kernel-unknown': {
    exit: 1,
    what: 'kernel {release} is neither installed here nor available from the package sources',
    why: 'a live patch is built for exactly one kernel release and needs its image, headers and source',
    fix: 'check the spelling against `uname -r` on the target machine; kernels known here: {known}',
  },
  'kernel-part-missing': {
    exit: 1,
    what: 'found kernel {release}, but not its {part} ({package})',
    why: 'image, headers and source must come from the same build',
    fix: 'give it with --image, --headers and --source, or add a package source that still has {package}',
  },
  'kernel-download': {
    exit: 1,
    what: 'could not download {package}',
    why: 'kpatch needs it to prepare the kernel; completed downloads are kept',
    fix: 'check the network and the package sources (apt-get update), then run the command again',
  },
  'kernel-release-mismatch': {
    exit: 1,
    what: 'the {part} is for {found}, not for {wanted}',
    why: 'code compiled with parts of two different kernels would crash the target',
    fix: 'give image, headers and source of the same build',
  },
  'kernel-source-mismatch': {
    exit: 1,
    what: 'the source is version {found}, but the kernel image was built from {wanted}',
    why: 'the patch would be built against code that the target does not run',
    fix: 'install the source of version {wanted}, or give it with --source',
  },
  'kernel-structures': {
    exit: 1,
    what: "cannot read the layout of the kernel's structures from its headers",
    why: 'kpatch compiles one small file with the headers of the kernel, and its compiler refused it',
    fix: 'read the message of the compiler below; prepare the kernel again with `kpatch kernel remove` and `kpatch kernel add`',
  },
  'kernel-structure-unknown': {
    exit: 4,
    what: 'struct {structure} of this kernel ({size} bytes, in {section}) has an unknown layout',
    why: 'code that its entries describe could be left out of the patch',
    fix: 'report this as a bug in kpatch, with the kernel release and package',
  },
  'kernel-no-livepatch': {
    exit: 4,
    what: 'the kernel {release} was built without {option}',
    why: 'it cannot load live patches',
    fix: 'boot a kernel built with {option}',
  },
  'kernel-prepare-failed': {
    exit: 1,
    what: 'preparing the source of {release} failed',
    why: 'kpatch needs the build tools of the kernel to compile single files as the vendor did',
    fix: 'read the output of make below; `kpatch doctor` lists the packages you need',
  },
  'kernel-config-drift': {
    exit: 1,
    what: 'preparing changed the configuration of {release}: {option} is {found} instead of {wanted}',
    why: 'a different option can change the layout of structures, so the code would not fit the target',
    fix: 'report this as a bug; nothing was kept',
  },
  'kernel-not-prepared': {
    exit: 3,
    what: 'the kernel {release} is not prepared here',
    why: '',
    fix: 'prepare it with `kpatch kernel add {release}`',
  },
  'kernel-compiler': {
    exit: 4,
    what: 'the kernel was built with "{wanted}", but the compiler here is "{found}"',
    why: 'another compiler may inline and lay out code differently, so the patched code may not fit the running code',
    fix: 'install that compiler ({command}), or accept the difference with --skip-compiler-check',
  },
  'kernel-image-format': {
    exit: 1,
    what: '{file} is not a readable kernel image: {reason}',
    why: 'kpatch reads the symbols and code of the running kernel from it',
    fix: 'give the vmlinuz or vmlinux file of the target kernel, from its package',
  },
  'kernel-kallsyms': {
    exit: 1,
    what: 'cannot find the kallsyms table in {file}: {reason}',
    why: 'kpatch takes the addresses and positions of symbols from it, and guessing them would be dangerous',
    fix: 'use a kernel with CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y; if it has both, report the kernel version as a bug',
  },
  'kernel-symvers': {
    exit: 1,
    what: '{file} line {line} is not a valid line of Module.symvers',
    why: 'kpatch reads the CRCs of exported symbols from it',
    fix: 'reinstall the headers package',
  },
  'kernel-module-unknown': {
    exit: 1,
    what: 'the kernel {release} has no module {module}',
    why: 'kpatch needs its code and symbols',
    fix: 'check the name; `kpatch kernel show {release} --modules` lists all modules',
  },
  'cache-settings': {
    exit: 1,
    what: '{file} line {line} is not a valid cache limit: {text}',
    why: '',
    fix: 'write max_size=SIZE (20G, 500M) or older_than=AGE (12h, 30d, 8w)',
  },
  'distribution-ambiguous': {
    exit: 2,
    what: 'kernels named {release} exist in {distributions}',
    why: 'the compiler and the source differ between them',
    fix: 'add --distribution, for example --distribution {first}',
  },
  'distribution-mirror': {
    exit: 1,
    what: 'no mirror of {distribution} is known on this machine',
    why: 'kpatch takes the kernel and its compiler from the archive of the distribution that the kernel belongs to',
    fix: 'give the URL of the archive with --mirror URL, or set KPATCH_MIRROR',
  },
  'distribution-keyring': {
    exit: 1,
    what: 'the archive keys of {distribution} are missing ({file})',
    why: 'packages from an archive are only used if its signature can be verified',
    fix: 'install the package {package}',
  },
  'distribution-untrusted': {
    exit: 4,
    what: 'the archive of {distribution} is not signed by its archive key',
    why: 'anyone on the network could have changed its packages',
    fix: 'check the mirror; if the archive has a new key, update the keyring package',
  },
  'distribution-expired': {
    exit: 4,
    what: 'the package lists of {distribution} have expired',
    why: 'an outdated mirror or an attacker could hide newer packages',
    fix: 'use another mirror (--mirror URL), or accept the old lists with --allow-expired',
  },
  'build-root-sandbox': {
    exit: 1,
    what: 'programs of the build root {folder} only run in the sandbox',
    why: 'they need their own libraries in place of those of this machine',
    fix: 'build without --no-sandbox, or use the compiler of this machine with --local-compiler',
  },
});
