import { table } from '../entry.ts';

/** Errors of the folder `sandbox/`. */
export const sandboxErrors = table({
  'sandbox-unavailable': {
    exit: 4,
    what: 'there is no sandbox here: {reason}',
    why: 'kpatch compiles patches and unpacks packages of other people, and these must not reach your files or the network',
    fix: 'install bubblewrap (apt-get install bubblewrap) and run kpatch on the machine itself or in a privileged container, not in a chroot; or give --no-sandbox, which the manifest of the module records',
  },
  'sandbox-output': {
    exit: 4,
    what: '{file} was made in the sandbox, and {problem}',
    why: 'kpatch takes only plain files from a sandbox: a link could make it read or write your other files',
    fix: 'do not use this patch, source or package before you know where it comes from',
  },
});
