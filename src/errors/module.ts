import { table } from './entry.ts';

/** Errors of the room `module/`: making the patch module. */
export const moduleErrors = table({
  'manifest-damaged': {
    exit: 1,
    what: 'the manifest of {file} cannot be used: {problem}',
    why: 'it says for which kernel the module is and what it changes, so the module cannot be trusted',
    fix: 'get the module again from where it was built',
  },
  'intermediate-malformed': {
    exit: 1,
    what: 'the intermediate sections of {file} are malformed: {problem}',
    why: 'they say which references become livepatch relocations',
    fix: 'build the object again with create-diff-object or `kpatch diff -o`',
  },
  'klp-symbol-unnameable': {
    exit: 4,
    what: 'the symbol {symbol} of {object} cannot be named in a livepatch relocation',
    why: 'the kernel reads such names with at most 55 bytes for the object and {limit} for the symbol, and without commas',
    fix: 'change the patch so that it does not refer to this symbol',
  },
  'klp-relocation-crosses': {
    exit: 4,
    what: 'a relocation for {object} refers to {symbol} of {other}',
    why: 'the kernel resolves such a relocation when {object} is loaded, and {other} may not be there then',
    fix: 'report this with the patch',
  },
  'module-link-failed': {
    exit: 1,
    what: 'the patch module {name} does not link',
    why: 'the kernel build system refused it',
    fix: 'see its message below',
  },
});
