import { table } from '../entry.ts';

/** Errors of `prove/`. */
export const proveErrors = table({
  'prove-not-livepatch': {
    exit: 2,
    what: '{file} is not a live patch: {problem}',
    why: 'kpatch can prove livepatch modules only',
    fix: 'give the module that `kpatch build` wrote',
  },
  'prove-other-kernel': {
    exit: 4,
    what: '{file} was built for {built}, not for {wanted}',
    why: 'a kernel refuses a module built for another release',
    fix: 'omit --kernel to prove it on its own kernel, or build the patch for {wanted}',
  },
  'prove-test-script': {
    exit: 2,
    what: 'the test script {file} cannot be used: {problem}',
    why: 'kpatch must know which results the script expects and what it needs',
    fix: 'see `# expect:` and `# needs:` in docs/proof.md',
  },
  'proof-invalid': {
    exit: 4,
    what: 'the proof {file} is not valid: {problem}',
    why: 'only a complete proof of this module on this kernel shows that it is safe to load',
    fix: 'create one with `kpatch prove`, or omit --require-proof',
  },
  'proof-key': {
    exit: 2,
    what: 'the key {file} cannot be used: {problem}',
    why: 'kpatch cannot sign or verify the proof with it',
    fix: 'create a key with `openssl genpkey -algorithm ed25519` (public part: `openssl pkey -pubout`)',
  },
  'prove-user-check': {
    exit: 2,
    what: 'the check in {file} cannot be used: {problem}',
    why: 'a check that cannot run would prove nothing',
    fix: 'see "Checks of your own" in docs/proof.md',
  },
  'prove-other-patch': {
    exit: 2,
    what: '{module} was not built from {file}',
    why: 'a report with another source patch would mislead its readers',
    fix: 'give the patch file whose digest is in the manifest (`kpatch info {module}`)',
  },
  'prove-unknown-check': {
    exit: 2,
    what: 'unknown check `{check}`',
    why: '',
    fix: 'choose from: {known}',
  },
});
