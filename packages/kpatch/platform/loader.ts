/**
 * What the kernel's module loader does on a machine (module.c of its folder below arch/), as far as a livepatch module
 * depends on it.
 */
export interface LoaderRules {
  /** Relocation types that apply_relocate_add takes. */
  readonly relocations: Pick<ReadonlySet<number>, 'has'>;
  /**
   * Tables that the loader applied before the livepatch relocations until Linux 5.8, and the bytes of an entry where the
   * linker leaves the padding of the last one out (else 1).
   */
  readonly early: Readonly<Record<string, number>>;
  /**
   * Where the loader refuses to fill in a field that is not zero: the C names of the relocation types without a field and
   * with one of 8 bytes; all others have 4. Absent if the loader does not look.
   */
  readonly fieldSizes?: { readonly none: readonly string[]; readonly eight: readonly string[] };
}

/** The types whose names, without `prefix`, match. The sources name them, so that a list can be compared with them. */
export function typesNamed(
  relocation: (type: number) => { readonly name: string } | undefined,
  prefix: string,
  pattern: RegExp,
): LoaderRules['relocations'] {
  return {
    has(type) {
      const name = relocation(type)?.name;
      return name?.startsWith(prefix) === true && pattern.test(name.slice(prefix.length));
    },
  };
}
