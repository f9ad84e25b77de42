import { table } from '../entry.ts';

/** Errors of `shield/`. */
export const shieldErrors = table({
  'shield-function-unknown': {
    exit: 2,
    what: 'no compiled source file of {release} defines the function {function}',
    why: 'a shield replaces a function that the source of the kernel defines in C',
    fix: 'check the spelling, or name the function that it calls; functions that macros generate cannot be shielded',
  },
  'shield-function-ambiguous': {
    exit: 2,
    what: 'several files define {function}: {files}',
    why: '',
    fix: 'choose one with --file PATH',
  },
  'shield-unsafe': {
    exit: 4,
    what: '{function} must not return early: {problem}',
    why: 'a refused call would leak memory, leave a lock held, or make callers continue as if it had succeeded',
    fix: 'shield a caller of it that only checks its arguments and returns an error; see "Which functions" in docs/shield.md',
  },
  'shield-return': {
    exit: 4,
    what: '{function} must not return {value}: {problem}',
    why: 'callers would misread the refusal, for example as a success or a valid pointer',
    fix: 'choose a value that the callers understand: {known}',
  },
  'shield-condition': {
    exit: 2,
    what: 'the condition `{condition}` cannot be used: {problem}',
    why: 'it runs in the kernel, so it may only look at the arguments',
    fix: 'see "Conditions" in docs/shield.md',
  },
  'shield-file': {
    exit: 2,
    what: 'the shield file {file} cannot be used: {problem}',
    why: '',
    fix: 'see "Shield files" in docs/shield.md, or ask its publisher',
  },
  'shield-expiry': {
    exit: 2,
    what: '{value} is not a time after which a shield can end: {problem}',
    why: '',
    fix: 'give a number with a unit, such as 14d, 36h or 8w, at most a year',
  },
  'shield-patched': {
    exit: 4,
    what: 'the live patch {patch} already replaces {function} on this machine',
    why: 'the shield contains the function of the stock kernel, so it would undo that fix',
    fix: 'build one cumulative patch from the fixes and the source patch of the shield (`kpatch shield --patch-only FILE`)',
  },
});
