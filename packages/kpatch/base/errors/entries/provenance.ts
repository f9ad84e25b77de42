import { table } from '../entry.ts';

/** Errors of the folder `provenance/` and of rebuilding. */
export const provenanceErrors = table({
  'provenance-invalid': {
    exit: 4,
    what: 'the statement {file} is not valid: {problem}',
    why: 'a damaged or changed statement proves nothing about the module',
    fix: 'get the file again from where the module came from, or build the module again',
  },
  'provenance-other-module': {
    exit: 4,
    what: 'the statement {file} belongs to another module',
    why: 'its digests are not those of {module}, with or without a signature',
    fix: 'use the statement that was written next to this module',
  },
  'reproduce-input': {
    exit: 1,
    what: 'the module cannot be rebuilt: {input} is not available ({problem})',
    why: 'a rebuild from other inputs proves nothing about this module',
    fix: 'provide it and run `kpatch reproduce` again; see docs/provenance.md',
  },
  'reproduce-differs': {
    exit: 4,
    what: 'the module cannot be rebuilt: {input} is not the one that was recorded ({problem})',
    why: 'a rebuild from other inputs proves nothing about this module',
    fix: 'use the recorded one; see docs/provenance.md',
  },
});
