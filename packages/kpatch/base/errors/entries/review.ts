import { table } from '../entry.ts';

/** Errors of `review/` and `rewrite/`. */
export const reviewErrors = table({
  'rewrite-nothing': {
    exit: 3,
    what: 'no rule applies to the patch',
    why: '',
    fix: 'build it with `kpatch build`; if that refuses it, see docs/patch-author-guide.md',
  },
  'rewrite-refused': {
    exit: 4,
    what: 'the patch cannot be rewritten: {name}: {problem}',
    why: 'a rule is applied only where kpatch can show that the result has the same effect',
    fix: 'write that part by hand, see docs/patch-author-guide.md and docs/rewrite.md',
  },
  'review-denied': {
    exit: 4,
    what: 'the patch has {count hazard} of a denied kind: {kind} in {function}',
    why: 'such a patch loads but can misbehave, because data that already exists keeps its old meaning',
    fix: 'change the patch as the remedies say, or remove the kind from --deny after a person has judged it; see docs/review.md',
  },
});
