import { table } from '../entry.ts';

/** Errors of the room `elf/`. */
export const elfErrors = table({
  'elf-not-elf': {
    exit: 1,
    what: '{file} is not an ELF file',
    why: 'it does not begin with the four bytes of every ELF file, so nothing in it can be trusted to be an object',
    fix: 'give the object file itself (a .o or .ko); unpack it first if it is compressed',
  },
  'elf-unsupported': {
    exit: 1,
    what: '{file} is an ELF file of a kind that is not supported: {kind}',
    why: 'reading it by the rules of another kind would give wrong results',
    fix: 'use 64-bit ELF files of x86-64, ppc64le, s390x, aarch64 or loongarch64 with relocations with addends',
  },
  'elf-truncated': {
    exit: 1,
    what: '{what} lies outside of {file}',
    why: 'the file is cut short or damaged',
    fix: 'make the file again, and check that the disk is not full',
  },
  'elf-malformed': {
    exit: 1,
    what: '{file} is malformed: {problem}',
    why: 'the file breaks a rule of the ELF format, so its parts cannot be told apart safely',
    fix: 'make the file again with an unmodified compiler and linker',
  },
  'elf-not-relocatable': {
    exit: 1,
    what: '{file} is not a relocatable object but {kind}',
    why: 'only relocatable objects say which parts belong to which function',
    fix: 'give the .o file that the compiler wrote (or a .ko)',
  },
  'elf-no-symbols': {
    exit: 1,
    what: '{file} has no symbol table',
    why: 'without symbols no function has a name',
    fix: 'use the file before it was stripped',
  },
  'elf-unwritable': {
    exit: 1,
    what: 'an object cannot be written: {problem}',
    why: 'the file would not mean what was intended',
    fix: 'this is a defect of kpatch: report it with the command line',
  },
});
