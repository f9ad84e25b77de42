import { table } from '../entry.ts';

/** Errors of `vm/`. */
export const vmErrors = table({
  'busybox-missing': {
    exit: 1,
    what: 'cannot find a statically linked busybox ({problem})',
    why: 'it is the shell of the virtual machine',
    fix: 'install it: apt-get install busybox-static',
  },
  'guest-programs': {
    exit: 1,
    what: 'no known distribution has these packages for {machine}: {packages}',
    why: 'the virtual machine needs programs from them',
    fix: 'put what is needed (for busybox a static one) to {file}',
  },
  'guest-own-program': {
    exit: 1,
    what: 'there is no kpatch for {machine}',
    why: 'the full plan installs and loads the patch with the program that hosts run',
    fix: 'run `make packages MACHINE={machine}` in a checkout and copy dist/kpatch-{machine} to {file}',
  },
  'guest-panicked': {
    exit: 1,
    what: 'the kernel in the virtual machine panicked: {reason}',
    why: 'a real machine would crash too',
    fix: 'read the last lines of its console below',
  },
  'guest-not-booted': {
    exit: 1,
    what: 'the virtual machine did not boot within {seconds} s',
    why: 'it did not reach its shell, so nothing could be tested',
    fix: 'read its console below; on a slow or busy machine raise the timeout',
  },
  'guest-silent': {
    exit: 1,
    what: 'the virtual machine printed nothing within {seconds} s',
    why: 'its kernel probably did not start',
    fix: 'check that {image} is a kernel image for this architecture and that QEMU boots it when started by hand',
  },
  'guest-ended': {
    exit: 1,
    what: 'the virtual machine stopped unexpectedly: {outcome}',
    why: 'its work was not finished',
    fix: 'read its console and the output of QEMU below',
  },
  'guest-hung': {
    exit: 1,
    what: 'the virtual machine did not finish "{step}" within {seconds} s',
    why: 'kpatch stopped it because it no longer responded',
    fix: 'read its console below; on a slow or busy machine raise the timeout',
  },
  'guest-memory': {
    exit: 1,
    what: 'the virtual machine needs {needed} MiB of memory, but only {available} MiB are available',
    why: 'starting it could exhaust the memory of this machine',
    fix: 'free memory or give the guest less',
  },
  'guest-step-failed': {
    exit: 1,
    what: '"{step}" failed with status {status} inside the virtual machine',
    why: 'the next steps depend on it',
    fix: 'read its output below',
  },
  'guest-file': {
    exit: 2,
    what: 'cannot create the path "{path}" inside the virtual machine: {problem}',
    why: 'each file given to a guest needs a unique absolute path',
    fix: 'use an absolute path without "..", and not that of a folder that other files need',
  },
  'guest-monitor': {
    exit: 1,
    what: 'QEMU refused the command `{command}`: {problem}',
    why: 'kpatch could not save the virtual machine',
    fix: 'run `kpatch prove --cold`; if that works, report this message',
  },
  'guest-module': {
    exit: 1,
    what: 'the kernel module `{module}` is not in {folder}',
    why: 'the guest needs it',
    fix: 'check that the folder belongs to the same kernel release (`lib/modules/RELEASE` of its package)',
  },
});
