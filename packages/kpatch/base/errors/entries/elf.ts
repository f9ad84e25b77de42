import { table } from '../entry.ts';

/** Errors of `elf/`. */
export const elfErrors = table({
  'elf-not-elf': {
    exit: 1,
    what: '{file} is not an ELF file',
    why: 'it does not start with the ELF magic number',
    fix: 'give the object file itself (.o or .ko); decompress it first if necessary',
  },
  'elf-bitcode': {
    exit: 1,
    what: '{file} is LLVM bitcode, not an ELF file',
    why: 'clang wrote it for link-time optimization (-flto): it contains no machine code that kpatch could compare',
    fix: 'compile without -flto (a kernel without CONFIG_LTO_CLANG)',
  },
  'elf-unsupported': {
    exit: 1,
    what: '{file} is an unsupported ELF file: {kind}',
    why: '',
    fix: 'use 64-bit ELF files of a supported machine (docs/kernels.md) that use relocations with addends (RELA)',
  },
  'platform-unknown': {
    exit: 1,
    what: 'kpatch does not support the machine {name}',
    why: 'kpatch must know the instructions, relocations and kernel images of a machine',
    fix: 'use one of {known}, or add the machine (see docs/adding.md)',
  },
  'elf-truncated': {
    exit: 1,
    what: '{what} is beyond the end of {file}',
    why: 'the file is truncated or damaged',
    fix: 'create the file again and check that the disk is not full',
  },
  'elf-malformed': {
    exit: 1,
    what: '{file} is malformed: {problem}',
    why: 'the file violates the ELF format and cannot be read safely',
    fix: 'create the file again with an unmodified compiler and linker',
  },
  'elf-not-relocatable': {
    exit: 1,
    what: '{file} is not a relocatable object: it is {kind}',
    why: 'only relocatable objects show which code and data belong to which function',
    fix: 'give the .o file that the compiler wrote (or a .ko)',
  },
  'elf-no-symbols': {
    exit: 1,
    what: '{file} has no symbol table',
    why: 'kpatch finds functions by their symbols',
    fix: 'use the file from before it was stripped',
  },
  'elf-unwritable': {
    exit: 1,
    what: 'cannot write an object: {problem}',
    why: 'the file would be malformed',
    fix: 'this is a bug in kpatch: report it with the command line',
  },
});
