import { table } from '../entry.ts';

/** Errors of the folder `sandbox/`. */
export const sandboxErrors = table({
  'sandbox-unavailable': {
    exit: 4,
    what: 'the sandbox is not available: {reason}',
    why: 'patches and packages from other people must not reach your files or the network while kpatch compiles and unpacks them',
    fix: 'install bubblewrap (apt-get install bubblewrap) and run kpatch on the machine itself or in a privileged container, not in a chroot; or give --no-sandbox, which the manifest of the module records',
  },
  'archive-too-large': {
    exit: 4,
    what: '{file} has more than {most} files and folders',
    why: 'no package or source of a kernel has that many; unpacking them could fill the disk or take hours',
    fix: 'do not use this package until you know where it comes from',
  },
  'sandbox-output': {
    exit: 4,
    what: 'a program in the sandbox created {file}, but {problem}',
    why: 'kpatch accepts only regular files from the sandbox, because a link could make it read or write your other files',
    fix: 'do not use this patch, source or package until you know where it comes from',
  },
});
