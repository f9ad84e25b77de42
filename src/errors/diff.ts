import { table } from './entry.ts';

/** Errors of the room `diff/`: objects that cannot be compared (1), and changes that cannot be made in a running kernel (4). */
export const diffErrors = table({
  'diff-machines': {
    exit: 1,
    what: 'the two objects are for different machines: {original} and {patched}',
    why: 'they cannot be two versions of one object',
    fix: 'compile both with the same compiler for the same kernel',
  },
  'diff-relocation-unknown': {
    exit: 1,
    what: 'a relocation has the type {type}, which kernels of {arch} do not use',
    why: 'what it does is not known, so a change could be missed',
    fix: 'compile with the flags of the kernel build (see `V=1` of make)',
  },
  'diff-entry-size': {
    exit: 1,
    what: 'the table {section} cannot be read: {problem}',
    why: 'entries that are cut at the wrong place would be lost or crash the machine',
    fix: 'check that the kernel version given is that of the objects, or give the size of the entries',
  },
  'diff-data-changed': {
    exit: 4,
    what: 'the initial content of {name} changed',
    why: 'the running kernel has its own copy, which was initialised long ago and may hold live data',
    fix: 'set the new value in a callback of the patch, or change the code that uses it instead',
  },
  'diff-data-size': {
    exit: 4,
    what: 'the size of {name} changed from {before} to {after} bytes',
    why: 'the object lives in the running kernel and cannot grow or shrink there',
    fix: 'leave the object as it is and add what is new as a shadow variable or as a new object',
  },
  'diff-data-moved': {
    exit: 4,
    what: 'the object {name} changed its nature: {how}',
    why: 'the running kernel has it where it was',
    fix: 'leave the object as it is, and use a new one under another name',
  },
  'diff-init-changed': {
    exit: 4,
    what: '{name} changed, which is in {section}',
    why: 'code and data of that section are used only when {object} starts or ends, so a live patch has no effect on them',
    fix: 'do in a callback of the patch what the new code would have done, or leave the change out of the patch',
  },
  'diff-unpatchable': {
    exit: 4,
    what: 'the function {name} changed, and it must not be replaced',
    why: '{reason}',
    fix: 'change its callers instead, or wait for the next reboot into a fixed kernel',
  },
  'diff-no-trace': {
    exit: 4,
    what: 'the function {name} changed, and has no place at its entry where ftrace could redirect it',
    why: 'it is compiled without function tracing (notrace, assembly, or its whole file), so livepatch cannot reach it',
    fix: 'change its callers instead',
  },
  'diff-code-unnamed': {
    exit: 4,
    what: 'code without a function changed in {section}',
    why: 'only functions can be replaced, so the old code would go on running',
    fix: 'change the functions that use it instead; assembly cannot be patched live',
  },
  'diff-code-bound': {
    exit: 4,
    what: 'the function {name} cannot be taken out of {section}: {reason}',
    why: 'it shares the section with other functions and is tied to them',
    fix: 'change its callers instead',
  },
  'diff-section-unknown': {
    exit: 4,
    what: 'the section {section} is not known, and {how}',
    why: 'its entries may be needed by the code that changed; leaving them out could crash the machine',
    fix: 'leave this function as it is, or report the section so that a rule for it can be written',
  },
  'diff-list-changed': {
    exit: 4,
    what: 'the list {section} changed ({how})',
    why: 'the kernel read it when it started, so the change has no effect in a running one',
    fix: 'do in a callback of the patch what the new entry would cause, or leave that change out',
  },
  'diff-key-module': {
    exit: 4,
    what: '{name} uses the {kind} {key}, which is not in the kernel image',
    why: 'the key gets its address after the kernel has read the table of such places, so switching it would crash',
    fix: 'use static_key_enabled() instead of static_branch_likely() or static_branch_unlikely() in the patched function',
  },
  'diff-key-early': {
    exit: 4,
    what: '{name} uses the {kind} {key}, which is not exported',
    why: 'before Linux 5.8 livepatch gave such a key its address after the kernel had read the table of such places',
    fix: 'use static_key_enabled() in the patched function',
  },
  'diff-symbol-missing': {
    exit: 4,
    what: '{user} needs {name}, and {object} has no symbol of that name',
    why: 'its address in the running kernel cannot be found',
    fix: 'check that the object belongs to this kernel; otherwise reach the thing through something that has a name',
  },
  'diff-symbol-ambiguous': {
    exit: 4,
    what: '{user} needs the static symbol {name}, of which {object} has {count}',
    why: 'taking the wrong one would patch or use something else',
    fix: 'give a symbol table with FILE symbols, or let kpatch compare the code with the kernel image',
  },
  'diff-local-ambiguous': {
    exit: 4,
    what: '{user} uses a static variable {name}, and there are several of that name in its function',
    why: 'which of them holds which state of the running kernel cannot be told',
    fix: 'leave the static variables of that function as they are, or give new ones a new name',
  },
  'diff-refers-init': {
    exit: 4,
    what: '{user} refers to {name} in {section}',
    why: 'that memory is freed once {object} has started',
    fix: 'leave this function as it is',
  },
  'diff-sealed': {
    exit: 4,
    what: '{user} now uses the address of {name}, which the kernel has sealed against indirect calls',
    why: 'no code took its address before, so an indirect call of it would end in a control protection fault',
    fix: 'call the function directly, or call it through a new function of the patch',
  },
  'diff-removed-address': {
    exit: 4,
    what: 'the function {name} is gone, and its address may still be in use',
    why: '{user} handed it out as a pointer; whoever holds it goes on to call the old code',
    fix: 'keep the function and change its body, even if only to call the new one',
  },
  'diff-reference-inner': {
    exit: 4,
    what: '{user} refers into the middle of {name}, which changed',
    why: 'the place means something else in the new version',
    fix: 'leave one of the two as it is',
  },
  'diff-vdso': {
    exit: 4,
    what: '{file} is code of the vDSO',
    why: 'it runs in user space from pages that processes have mapped already',
    fix: 'change what the vDSO calls in the kernel instead',
  },
  'diff-include-unknown': {
    exit: 2,
    what: 'KPATCH_INCLUDE_FUNCTION names {function}, which is no function of the compiled file',
    why: 'a function that the compiler inlined everywhere, or that does not exist, cannot be replaced',
    fix: 'correct the name, or name the functions that it was inlined into',
  },
});
