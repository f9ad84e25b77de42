/**
 * Constants of the ELF format, from the System V ABI (gABI chapters 4 and 5), the processor supplements and, where said,
 * the Linux kernel. Only what this program reads or writes.
 */

/** Object file types, `e_type`. */
export const ET = { REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** The first four bytes of every ELF file, most significant first. */
export const ELF_MAGIC = 0x7f454c46;

/** Special section indices, `st_shndx` and `e_shstrndx`. `LIVEPATCH` is the kernel's (include/uapi/linux/elf.h). */
export const SHN = {
  UNDEF: 0,
  LORESERVE: 0xff00,
  LIVEPATCH: 0xff20,
  ABS: 0xfff1,
  COMMON: 0xfff2,
  XINDEX: 0xffff,
} as const;

/** Section types, `sh_type`. */
export const SHT = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  HASH: 5,
  DYNAMIC: 6,
  NOTE: 7,
  NOBITS: 8,
  REL: 9,
  DYNSYM: 11,
  INIT_ARRAY: 14,
  FINI_ARRAY: 15,
  GROUP: 17,
  SYMTAB_SHNDX: 18,
  RELR: 19,
  CREL: 0x40000014,
  LLVM_ADDRSIG: 0x6fff4c03,
  LLVM_CALL_GRAPH_PROFILE: 0x6fff4c09,
  GNU_ATTRIBUTES: 0x6ffffff5,
} as const;

/** Section flags, `sh_flags`. `RELA_LIVEPATCH` is the kernel's (include/uapi/linux/elf.h). */
export const SHF = {
  WRITE: 0x1,
  ALLOC: 0x2,
  EXECINSTR: 0x4,
  MERGE: 0x10,
  STRINGS: 0x20,
  INFO_LINK: 0x40,
  LINK_ORDER: 0x80,
  GROUP: 0x200,
  TLS: 0x400,
  COMPRESSED: 0x800,
  RELA_LIVEPATCH: 0x00100000,
  EXCLUDE: 0x80000000,
} as const;

/** Symbol bindings. */
export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2, GNU_UNIQUE: 10 } as const;

/** Symbol types. */
export const STT = {
  NOTYPE: 0,
  OBJECT: 1,
  FUNC: 2,
  SECTION: 3,
  FILE: 4,
  COMMON: 5,
  TLS: 6,
  GNU_IFUNC: 10,
} as const;

/** Symbol visibility, the low two bits of `st_other`. */
export const STV = { DEFAULT: 0, INTERNAL: 1, HIDDEN: 2, PROTECTED: 3 } as const;

/** Flag of a section group. */
export const GRP_COMDAT = 1;

/** Program header types. */
export const PT = { LOAD: 1, DYNAMIC: 2, NOTE: 4 } as const;

/** Note type of a build id; its name is `GNU`. */
export const NT_GNU_BUILD_ID = 3;

/** Sizes of the records of ELF64, in bytes. */
export const SIZE = { EHDR: 64, PHDR: 56, SHDR: 64, SYM: 24, RELA: 24 } as const;
