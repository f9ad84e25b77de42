import { table } from './entry.ts';

/** Errors of the room `vm/`. */
export const vmErrors = table({
  'busybox-missing': {
    exit: 1,
    what: 'no statically linked busybox was found ({problem})',
    why: 'it is the shell inside the virtual machine',
    fix: 'install it: apt-get install busybox-static',
  },
  'guest-panicked': {
    exit: 1,
    what: 'the kernel in the virtual machine panicked: {reason}',
    why: 'a kernel that panics here would take a real machine down',
    fix: 'read the last lines of its console below',
  },
  'guest-not-booted': {
    exit: 1,
    what: 'the virtual machine did not come up within {seconds} s',
    why: 'nothing can be tried in a guest that does not reach its shell',
    fix: 'read its console below; on a slow or busy machine raise the deadline',
  },
  'guest-silent': {
    exit: 1,
    what: 'the virtual machine printed nothing within {seconds} s',
    why: 'a guest without any output has not started its kernel',
    fix: 'check that {image} is a kernel image for x86-64 and boots under QEMU by hand',
  },
  'guest-ended': {
    exit: 1,
    what: 'the virtual machine ended by itself: {outcome}',
    why: 'its work was not done',
    fix: 'read its console and the messages of QEMU below',
  },
  'guest-hung': {
    exit: 1,
    what: 'the virtual machine did not finish "{step}" within {seconds} s',
    why: 'it was stopped, because nothing more can be learnt from a guest that does not answer',
    fix: 'read its console below; on a slow or busy machine raise the deadline',
  },
  'guest-memory': {
    exit: 1,
    what: 'the virtual machine needs {needed} MiB of memory and {available} MiB are to be had',
    why: 'starting it could make this machine run out of memory',
    fix: 'free memory or give the guest less',
  },
  'guest-step-failed': {
    exit: 1,
    what: '"{step}" ended with status {status} inside the virtual machine',
    why: 'the steps that follow need it',
    fix: 'read what it printed below',
  },
  'guest-file': {
    exit: 2,
    what: 'the path "{path}" cannot be made inside the virtual machine: {problem}',
    why: 'each file given to a guest needs a plain absolute path of its own',
    fix: 'use an absolute path without "..", and not one of a folder that other files need',
  },
  'guest-monitor': {
    exit: 1,
    what: 'QEMU refused the command `{command}`: {problem}',
    why: 'the virtual machine could not be saved',
    fix: 'boot it with `kpatch prove --cold`; if that works, report this message',
  },
  'guest-module': {
    exit: 1,
    what: 'the kernel module `{module}` is not in {folder}',
    why: 'the guest needs it',
    fix: 'check that the folder is that of the same kernel release (`lib/modules/RELEASE` of its package)',
  },
});
