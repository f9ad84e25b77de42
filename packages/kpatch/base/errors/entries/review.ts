import { table } from '../entry.ts';

/** Errors of `review/`. */
export const reviewErrors = table({
  'review-denied': {
    exit: 4,
    what: 'the patch has {count hazard} of a denied kind: {kind} in {function}',
    why: 'it would load, and could still be wrong: live state keeps its old meaning',
    fix: 'change the patch as the remedies say, or remove the kind from --deny after a person has judged it; see docs/review.md',
  },
});
