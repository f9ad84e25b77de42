import { table } from './entry.ts';

/** Errors of the room `build/`: patches, plans, compilation. */
export const buildErrors = table({
  'patch-empty': {
    exit: 2,
    what: '{file} is empty',
    why: 'there is nothing to build from it',
    fix: 'give a unified diff, as `git format-patch` or `diff -u` prints it',
  },
  'patch-not-a-patch': {
    exit: 2,
    what: '{file} is not a patch: it has no unified diff in it',
    why: 'kpatch reads unified diffs only (`--- a/file`, `+++ b/file`, `@@ hunks`)',
    fix: 'give a unified diff, as `git format-patch` or `diff -u` prints it',
  },
  'patch-malformed': {
    exit: 2,
    what: '{file} is damaged: {problem}',
    why: 'a hunk that is cut off or mangled (often by a mail program) could be applied wrongly',
    fix: 'take the patch again from its source, as `git format-patch` writes it',
  },
  'patch-binary': {
    exit: 2,
    what: '{file} changes {target} as a binary file',
    why: 'a binary change cannot become code of a live patch',
    fix: 'take that file out of the patch',
  },
  'patch-escapes': {
    exit: 2,
    what: '{file} names {target}, which lies outside the kernel source',
    why: 'a patch may only touch files of the kernel source',
    fix: 'do not use this patch before you know where it comes from',
  },
  'patch-does-not-apply': {
    exit: 1,
    what: '{file} does not apply to the source of {release}: hunk {hunk} of {target}',
    why: 'the source of this kernel has other lines there, shown below, so the change has no place',
    fix: 'take the version of the fix that was made for this kernel series, or adapt the patch',
  },
  'patch-already-applied': {
    exit: 3,
    what: '{file} is in the source of {release} already: {target}',
    why: 'the kernel has this change, so there is nothing to patch',
    fix: 'nothing to do for this kernel',
  },
  'patch-file-missing': {
    exit: 1,
    what: '{file} changes {target}, which the source of {release} does not have',
    why: 'the patch was made for another version of the kernel',
    fix: 'take the version of the fix that was made for this kernel series',
  },
  'patch-file-exists': {
    exit: 1,
    what: '{file} adds {target}, which the source of {release} has already',
    why: 'the patch was made for another version of the kernel',
    fix: 'take the version of the fix that was made for this kernel series',
  },
  'series-empty': {
    exit: 2,
    what: '{folder} holds no patches',
    why: 'there is nothing to build',
    fix: 'put *.patch or *.diff files there, or a file `series` that lists them in order',
  },
  'not-built': {
    exit: 3,
    what: 'nothing that the patch changes is built into {release}: {files}',
    why: 'this kernel does not contain the code, so it does not need the fix',
    fix: 'nothing to do for this kernel',
  },
  'source-kind-unsupported': {
    exit: 4,
    what: '{target} cannot be live patched: it is {kind}',
    why: '{reason}',
    fix: 'leave that part out of the patch, or reboot into a kernel that has the fix',
  },
  'compile-failed': {
    exit: 1,
    what: '{unit} does not compile {when} the patch',
    why: 'without its object file nothing can be compared',
    fix: "see the compiler's own message below",
  },
  'no-change': {
    exit: 3,
    what: 'the patch changes no code of {release}',
    why: 'the compiled functions are the same before and after it (comments, white space or names only)',
    fix: 'nothing to do for this kernel',
  },
  'name-invalid': {
    exit: 2,
    what: "'{name}' cannot be the name of a kernel module",
    why: 'module names have at most 55 characters, letters, digits and underscores only',
    fix: 'choose another one with --name',
  },
  'tree-changed': {
    exit: 1,
    what: 'compiling {unit} read {file} from the unpatched source',
    why: 'the object would mix old and new source',
    fix: 'report this with the patch',
  },
  'makefiles-unreadable': {
    exit: 1,
    what: 'the Makefiles of {tree} cannot be read',
    why: 'they say which object each source file belongs to',
    fix: 'see what make said below; `kpatch kernel remove` and `add` prepare the kernel anew',
  },
  'previous-unknown': {
    exit: 2,
    what: '{file} cannot be taken as the predecessor: {problem}',
    why: 'it is not known what the new patch would have to cover',
    fix: 'give the module of the patch that is to be replaced, as `kpatch build` made it',
  },
  'previous-other-kernel': {
    exit: 2,
    what: '{file} is for {found}, and this build is for {release}',
    why: 'a live patch replaces only one that is loaded in the same kernel',
    fix: 'give the predecessor for {release}, or build for the other kernel with --kernel',
  },
  'previous-version': {
    exit: 2,
    what: '{file} is version {version}, and the new patch would be version {wanted}',
    why: 'hosts take a successor by its higher version',
    fix: 'give --patch-version {next} or higher, or leave it out',
  },
  'previous-uncovered': {
    exit: 4,
    what: 'the new patch does not replace {count} of the functions that {file} replaces, {first} first',
    why: 'loading it would take those fixes away from running machines; they are listed below',
    fix: 'add the source patches that they came from, or name each with --withdraw FUNCTION if it is meant',
  },
  'previous-states': {
    exit: 4,
    what: '{file} set the system state {id} to version {version}, and the new patch knows {now} of it',
    why: 'the kernel refuses a patch that cannot deal with what an earlier one left behind',
    fix: 'declare KPATCH_STATE({id}, {version}) or a higher version in the new patch, and handle it in its callbacks',
  },
  'withdraw-unknown': {
    exit: 2,
    what: 'there is nothing to withdraw for {function}: {problem}',
    why: 'a name that fits nothing is likely a mistake, and the one that was meant would be lost unseen',
    fix: 'leave that --withdraw out or correct the name',
  },
});
