import { table } from '../entry.ts';

/** Errors of the room `prove/`. */
export const proveErrors = table({
  'prove-not-livepatch': {
    exit: 2,
    what: '{file} is not a live patch: {problem}',
    why: 'only a livepatch module can be proven',
    fix: 'give the module that `kpatch build` made',
  },
  'prove-other-kernel': {
    exit: 4,
    what: '{file} was built for {built}, not for {wanted}',
    why: 'a kernel refuses a module of another release, and its code would not fit',
    fix: 'leave out --kernel to prove it on its own kernel, or build the patch for {wanted}',
  },
  'prove-test-script': {
    exit: 2,
    what: 'the test script {file} cannot be used: {problem}',
    why: 'it has to say in a way that a shell and kpatch understand what is expected and what it needs',
    fix: 'see `# expect:` and `# needs:` in docs/proof.md',
  },
  'proof-invalid': {
    exit: 4,
    what: 'the proof {file} does not count: {problem}',
    why: 'only a proof that is whole, for this very module and this very kernel, says that it is safe to load',
    fix: 'make one with `kpatch prove`, or do without --require-proof',
  },
  'proof-key': {
    exit: 2,
    what: 'the key {file} cannot be used: {problem}',
    why: 'the proof could not be signed or its signature not checked',
    fix: 'give a key as `openssl genpkey -algorithm ed25519` makes it (public part: `openssl pkey -pubout`)',
  },
  'prove-user-check': {
    exit: 2,
    what: 'the check in {file} cannot be used: {problem}',
    why: 'a plan with a check that cannot be run would prove nothing',
    fix: 'see "Checks of your own" in docs/proof.md',
  },
  'prove-other-patch': {
    exit: 2,
    what: '{file} is not a patch that {module} was made from',
    why: 'a report that shows another patch would mislead its reader',
    fix: 'give the patch file whose digest stands in the manifest (`kpatch info {module}`)',
  },
  'prove-unknown-check': {
    exit: 2,
    what: 'there is no check `{check}`',
    why: 'the plan could not be made',
    fix: 'the checks are: {known}',
  },
});
